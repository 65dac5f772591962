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

// MaxSpool is the most bytes of logs in the spool, half of them of one namespace. What does not fit
// is read when the run is finished.
const MaxSpool = 4 << 30

// maxOfRun is the most streams of one run. A step with its sidecars needs few, but a status may
// name any number of containers.
const maxOfRun = 16

// abandoned is the age at which a file left by an earlier process is deleted.
const abandoned = 24 * time.Hour

// Follower reads logs while steps run. Each container's log goes into a file, which outlives the
// process: the next one continues it.
type Follower struct {
	kube    kubernetes.Interface
	spool   string
	metrics Metrics
	log     logr.Logger
	delays  streamDelays
	// slots bounds the streams; spooled is the number of bytes in files.
	slots   chan struct{}
	spooled atomic.Int64
	// ctx is the streams' context.
	ctx  context.Context //nolint:containedctx // streams outlive the call that starts them
	stop context.CancelFunc

	mu     sync.Mutex
	tails  map[Key]*Tail
	shares map[string]*share
}

// Metrics of a Follower: the streams, and the logs that were not followed for lack of one.
type Metrics struct {
	Streams    prometheus.Gauge
	Unfollowed prometheus.Counter
}

// Key names one container's log.
type Key struct {
	Run            types.UID
	Pod, Container string
}

// file is a digest because users can choose container names in a status.
func (k Key) file() string {
	sum := sha256.Sum256([]byte(string(k.Run) + "\x00" + k.Pod + "\x00" + k.Container))
	return hex.EncodeToString(sum[:16]) + ".log"
}

// share is one namespace's use of the Follower, which is limited to half of everything.
type share struct {
	streams int // under Follower.mu
	spooled atomic.Int64
}

// NewFollower returns a Follower with its files in the directory spool and at most streams streams.
func NewFollower(
	kube kubernetes.Interface, spool string, streams int, metrics Metrics, log logr.Logger,
) (*Follower, error) {
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return nil, fmt.Errorf("make the spool of followed logs: %w", err)
	}
	f := &Follower{
		kube: kube, spool: spool, metrics: metrics, log: log.WithName("follow"), delays: defaultDelays,
		slots: make(chan struct{}, streams), tails: map[Key]*Tail{}, shares: map[string]*share{},
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f, f.removeOld(time.Now())
}

// removeOld counts the bytes that an earlier process left in the spool, and deletes abandoned
// files.
func (f *Follower) removeOld(now time.Time) error {
	files, err := os.ReadDir(f.spool)
	if err != nil {
		return fmt.Errorf("read the spool of followed logs: %w", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), againSuffix) { // its process was killed while it read
			if err := os.Remove(filepath.Join(f.spool, file.Name())); err != nil {
				return fmt.Errorf("delete a log of the spool that is not whole: %w", err)
			}
			continue
		}
		info, err := file.Info()
		if err != nil || !strings.HasSuffix(file.Name(), ".log") {
			continue
		}
		if now.Sub(info.ModTime()) > abandoned {
			if err := os.Remove(filepath.Join(f.spool, file.Name())); err != nil {
				return fmt.Errorf("delete an old log of the spool: %w", err)
			}
			continue
		}
		f.spooled.Add(info.Size())
	}
	return nil
}

// Close ends all streams. The files stay.
func (f *Follower) Close() {
	f.stop()
	f.mu.Lock()
	tails := slices.Collect(maps.Values(f.tails)) // a stream that ends takes the lock
	f.mu.Unlock()
	for _, t := range tails {
		<-t.done
		t.close()
	}
}

// Follow starts following a container's log, unless it is followed already or limits are reached.
// It reports whether the log is followed now.
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

// share returns a namespace's share. It is called with mu held.
func (f *Follower) share(namespace string) *share {
	if f.shares[namespace] == nil {
		f.shares[namespace] = &share{}
	}
	return f.shares[namespace]
}

// ofRun counts the streams of a run that have not ended. It is called with mu held.
func (f *Follower) ofRun(run types.UID) (n int) {
	for key, t := range f.tails {
		if key.Run == run && !t.Ended() {
			n++
		}
	}
	return n
}

// Tail returns the followed log of a container, also one that an earlier process followed; nil if
// there is none.
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
	t.size = info.Size() // corrected by load
	t.adopt(t.size)
	t.failure = "the archiver was restarted, and the pod was gone before the end of its log was read"
	close(t.done)
	f.tails[key] = t
	return t
}

// Forget deletes the logs of a run.
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

// remove deletes a tail's file, after its stream has ended.
func (t *Tail) remove() {
	<-t.done
	t.close()
	if err := os.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.follower.log.Error(err, "A followed log stays in the spool", "file", filepath.Base(t.path))
		return
	}
	t.addSpooled(-t.size)
	t.follower.mu.Lock()
	defer t.follower.mu.Unlock()
	if t.share.streams == 0 && t.share.spooled.Load() == 0 {
		delete(t.follower.shares, t.namespace) // the namespace may be deleted
	}
}
