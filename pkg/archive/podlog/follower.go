package podlog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// MaxSpool is how many bytes of logs wait in the spool at most, half of them of one namespace. What
// does not fit is read when its run is finished.
const MaxSpool = 4 << 30

// maxOfRun is how many streams one run has at most. A step and its sidecars are few; what a status
// says may be many.
const maxOfRun = 16

// abandoned is how old a file of the spool must be that nobody has asked for since the archiver
// started.
const abandoned = 24 * time.Hour

// Follower reads logs while steps run, into files. Each file is one container's, and outlives the
// archiver's process: the next one goes on where it ends.
type Follower struct {
	kube    kubernetes.Interface
	spool   string
	metrics Metrics
	log     logr.Logger
	pauses  streamPauses
	// slots bounds the streams; spooled is the number of bytes in files.
	slots   chan struct{}
	spooled atomic.Int64
	// ctx is what streams live under.
	ctx  context.Context //nolint:containedctx // streams outlive the call that starts them
	stop context.CancelFunc

	mu     sync.Mutex
	tails  map[Key]*Tail
	shares map[string]*share
}

// Metrics are the number of streams, and how often a log was not followed because there was none
// left.
type Metrics struct {
	Streams    prometheus.Gauge
	Unfollowed prometheus.Counter
}

// Key names one container's log.
type Key struct {
	Run            types.UID
	Pod, Container string
}

// file is a digest: who may write a run's status decides what its containers are called.
func (k Key) file() string {
	sum := sha256.Sum256([]byte(string(k.Run) + "\x00" + k.Pod + "\x00" + k.Container))
	return hex.EncodeToString(sum[:16]) + ".log"
}

// share is what one namespace has of the follower, so that it leaves the others theirs.
type share struct {
	streams int // with mu held
	spooled atomic.Int64
}

// NewFollower makes a Follower whose files are in the directory spool, and which reads as many logs
// at a time as streams says.
func NewFollower(
	kube kubernetes.Interface, spool string, streams int, metrics Metrics, log logr.Logger,
) (*Follower, error) {
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return nil, fmt.Errorf("make the spool of followed logs: %w", err)
	}
	f := &Follower{
		kube: kube, spool: spool, metrics: metrics, log: log.WithName("follow"), pauses: defaultPauses,
		slots: make(chan struct{}, streams), tails: map[Key]*Tail{}, shares: map[string]*share{},
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f, f.sweep(time.Now())
}

// sweep counts what an earlier process has left in the spool, and removes what is too old to be
// asked for.
func (f *Follower) sweep(now time.Time) error {
	files, err := os.ReadDir(f.spool)
	if err != nil {
		return fmt.Errorf("read the spool of followed logs: %w", err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil || !strings.HasSuffix(file.Name(), ".log") {
			continue
		}
		if now.Sub(info.ModTime()) > abandoned {
			if err := os.Remove(filepath.Join(f.spool, file.Name())); err != nil {
				return fmt.Errorf("sweep the spool: %w", err)
			}
			continue
		}
		f.spooled.Add(info.Size())
	}
	return nil
}

// Close ends all streams. Files stay.
func (f *Follower) Close() {
	f.stop()
	f.mu.Lock()
	tails := slices.Collect(maps.Values(f.tails)) // who ends needs the lock
	f.mu.Unlock()
	for _, t := range tails {
		<-t.done
		t.close()
	}
}

// Follow begins to follow a container's log, if nothing does yet and there is room. It says whether
// somebody follows it now.
func (f *Follower) Follow(namespace string, key Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tails[key] != nil {
		return true
	}
	mine := f.share(namespace)
	if f.ctx.Err() != nil || f.spooled.Load() >= MaxSpool || mine.spooled.Load() >= MaxSpool/2 {
		return false
	}
	if mine.streams >= max(cap(f.slots)/2, 1) || f.ofRun(key.Run) >= maxOfRun {
		f.metrics.Unfollowed.Inc()
		return false
	}
	select {
	case f.slots <- struct{}{}:
	default:
		f.metrics.Unfollowed.Inc()
		return false
	}
	t := newTail(f, namespace, key)
	f.tails[key] = t
	f.metrics.Streams.Inc()
	mine.streams++
	go func() {
		defer func() {
			<-f.slots
			f.metrics.Streams.Dec()
			f.mu.Lock()
			mine.streams--
			f.mu.Unlock()
			close(t.done)
		}()
		t.run()
	}()
	return true
}

// share returns a namespace's. It is called with mu held.
func (f *Follower) share(namespace string) *share {
	if f.shares[namespace] == nil {
		f.shares[namespace] = &share{}
	}
	return f.shares[namespace]
}

// ofRun counts the streams of a run: those of steps that have ended are none any more. It is called
// with mu held.
func (f *Follower) ofRun(run types.UID) (n int) {
	for key, t := range f.tails {
		if key.Run == run && !t.Ended() {
			n++
		}
	}
	return n
}

// Tail returns what follows a log, or what an earlier process has read of it.
func (f *Follower) Tail(namespace string, key Key) *Tail {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.tails[key]; t != nil {
		return t
	}
	info, err := os.Stat(filepath.Join(f.spool, key.file()))
	if err != nil {
		return nil
	}
	t := newTail(f, namespace, key)
	t.size = info.Size() // load looks what of it is whole
	t.failure = "the archiver was restarted, and the pod was gone before the end of its log was read"
	close(t.done)
	f.tails[key] = t
	return t
}

// Forget removes all that there is of a run.
func (f *Follower) Forget(run types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, t := range f.tails {
		if key.Run != run {
			continue
		}
		delete(f.tails, key)
		t.stop()
		go t.remove()
	}
}

// remove waits for the stream to end.
func (t *Tail) remove() {
	<-t.done
	t.close()
	if err := os.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.follower.log.Error(err, "A followed log stays in the spool", "file", filepath.Base(t.path))
		return
	}
	t.takes(-t.size)
	t.follower.mu.Lock()
	defer t.follower.mu.Unlock()
	if t.share.streams == 0 && t.share.spooled.Load() == 0 {
		delete(t.follower.shares, t.namespace) // namespaces come and go
	}
}
