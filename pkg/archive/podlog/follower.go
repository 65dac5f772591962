package podlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

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
	shares map[string]*share
	// tails and left have all files, by the names of their runs in the spool (inName).
	tails  map[string]map[Key]*Tail
	left   map[string][]leftover
	former formerFiles
	// removals are the goroutines that delete forgotten logs.
	removals sync.WaitGroup
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

// share is one namespace's use of the Follower, which is limited to half of everything.
type share struct {
	// streams, and files with and without one, are under Follower.mu.
	streams, files int
	spooled        atomic.Int64
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
		slots: make(chan struct{}, streams), shares: map[string]*share{}, tails: map[string]map[Key]*Tail{},
		left: map[string][]leftover{}, former: formerFiles{sizes: map[string]int64{}},
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f, f.findLeftovers()
}

// Close ends all streams. The files stay, but for those of runs that were forgotten.
func (f *Follower) Close() {
	f.stop()
	var all []*Tail // a stream that ends takes the lock
	f.mu.Lock()
	for _, tails := range f.tails {
		all = slices.AppendSeq(all, maps.Values(tails))
	}
	f.mu.Unlock()
	for _, t := range all {
		<-t.done
		t.use.Lock()
		t.close()
		t.use.Unlock()
	}
	f.removals.Wait()
}

// Follow starts following a container's log, unless it is followed already or limits are reached.
// It reports whether the log is followed now.
func (f *Follower) Follow(namespace string, key Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.find(key); t != nil {
		return !t.forgotten
	}
	if f.ctx.Err() != nil || !f.hasRoom(namespace) {
		return false
	}
	if !f.takeSlot(namespace, key.Run) {
		f.metrics.Unfollowed.Inc()
		return false
	}
	size, _ := f.takeUp(namespace, key)
	t := f.add(namespace, key, size)
	f.metrics.Streams.Inc()
	t.share.streams++
	go func() {
		defer func() {
			<-f.slots
			f.metrics.Streams.Dec()
			f.mu.Lock()
			t.share.streams--
			f.mu.Unlock()
			close(t.done)
		}()
		t.run()
	}()
	return true
}

// hasRoom reports whether the spool has room for a log of a namespace. It is called with mu held.
func (f *Follower) hasRoom(namespace string) bool {
	mine := f.shares[namespace]
	return f.spooled.Load() < MaxSpool && (mine == nil || mine.spooled.Load() < MaxSpool/2)
}

// takeSlot reserves a stream, if limits allow. It is called with mu held.
func (f *Follower) takeSlot(namespace string, run types.UID) bool {
	mine := f.shares[namespace]
	if mine != nil && mine.streams >= max(cap(f.slots)/2, 1) || f.ofRun(run) >= maxOfRun {
		return false
	}
	select {
	case f.slots <- struct{}{}:
		return true
	default:
		return false
	}
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
	for _, t := range f.tails[inName(string(run))] {
		if !t.Ended() {
			n++
		}
	}
	return n
}

// find returns a log that this process has followed or asked for. It is called with mu held.
func (f *Follower) find(key Key) *Tail { return f.tails[inName(string(key.Run))][key] }

// add adds a log, of which the spool has so many bytes. It is called with mu held.
func (f *Follower) add(namespace string, key Key, size int64) *Tail {
	t := newTail(f, namespace, key)
	t.size = size // load looks what of it is usable
	name := inName(string(key.Run))
	if f.tails[name] == nil {
		f.tails[name] = map[Key]*Tail{}
	}
	f.tails[name][key] = t
	return t
}

// Tail returns the followed log of a container, also one that an earlier process followed; nil if
// there is none.
func (f *Follower) Tail(namespace string, key Key) *Tail {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.find(key); t != nil {
		if t.forgotten {
			return nil
		}
		return t
	}
	size, found := f.takeUp(namespace, key)
	if !found {
		return nil
	}
	t := f.add(namespace, key, size)
	t.failure = "the archiver was restarted, and the pod was gone before the end of its log was read"
	close(t.done)
	return t
}

// Forget deletes the logs of a run. It may be called while the run is being archived.
func (f *Follower) Forget(run types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(inName(string(run)))
	f.former.forget(inName(string(run)))
	f.removeFormer()
}

// forget is called with mu held.
func (f *Follower) forget(run string) {
	for _, t := range f.tails[run] {
		if !t.forgotten { // else it is being deleted
			t.forgotten = true
			t.stop()
			f.removals.Go(t.remove)
		}
	}
	f.removeLeft(run)
}

// remove deletes a tail's file, after its stream has ended and nobody uses the file. Until then the
// log is not followed anew: that would use the same file.
func (t *Tail) remove() {
	<-t.done
	t.use.Lock()
	t.close()
	t.removed = true
	err := os.Remove(t.path)
	t.use.Unlock()
	f, name := t.follower, inName(string(t.key.Run))
	f.mu.Lock()
	defer f.mu.Unlock()
	if delete(f.tails[name], t.key); len(f.tails[name]) == 0 {
		delete(f.tails, name)
	}
	left := leftover{file: filepath.Base(t.path), namespace: t.namespace, share: t.share, size: t.size}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Error(err, "A followed log stays in the spool", "file", left.file)
		f.left[name] = append(f.left[name], left)
		return
	}
	f.discount(left)
}
