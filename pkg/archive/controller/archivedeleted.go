package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
)

const (
	// deletedWorkers is how many deleted runs are handled at a time, half of them of one namespace: an
	// attempt may take as long as a kubelet is silent.
	deletedWorkers = 4
	// deletedFirst and deletedLast bound the delay between attempts for one run. Others do not wait
	// for it.
	deletedFirst, deletedLast = time.Second, 5 * time.Minute
	// deletedPatience is for how long attempts may fail, while store and index are there, until the
	// last one. Whatever fails longer is due to the run, and would take the room of others for good.
	deletedPatience = time.Hour
)

// deletedQueue has the UIDs of deleted runs that are due.
type deletedQueue struct {
	workqueue.TypedRateLimitingInterface[types.UID]
	mu sync.Mutex
	// busy is how many runs of a namespace are being handled.
	busy map[string]int
}

func newDeletedQueue() *deletedQueue {
	return &deletedQueue{busy: map[string]int{}, TypedRateLimitingInterface: workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](deletedFirst, deletedLast))}
}

// begin reports whether another run of a namespace may be handled.
func (q *deletedQueue) begin(namespace string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy[namespace] >= deletedWorkers/2 {
		return false
	}
	q.busy[namespace]++
	return true
}

func (q *deletedQueue) end(namespace string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy[namespace]--; q.busy[namespace] == 0 {
		delete(q.busy, namespace)
	}
}

// archiveDeleted archives deleted runs until ctx ends.
func (c *Controller) archiveDeleted(ctx context.Context) {
	for _, uid := range c.Deleted.uids() { // of a Controller before this one
		c.retries.Add(uid)
	}
	var running sync.WaitGroup
	defer running.Wait()
	for range deletedWorkers {
		running.Go(func() {
			for c.nextDeleted(ctx) {
			}
		})
	}
	<-ctx.Done()
	c.retries.ShutDown()
}

// nextDeleted handles the next run that is due. It reports whether there may be more.
func (c *Controller) nextDeleted(ctx context.Context) bool {
	uid, shutdown := c.retries.Get()
	if shutdown {
		return false
	}
	defer c.retries.Done(uid)
	r := c.Deleted.get(uid)
	if r == nil || ctx.Err() != nil {
		return ctx.Err() == nil
	}
	if !c.retries.begin(r.Namespace) {
		c.retries.AddAfter(uid, deletedFirst)
		return true
	}
	defer c.retries.end(r.Namespace)
	c.tryDeleted(ctx, r)
	return true
}

// tryDeleted makes an attempt for a deleted run.
func (c *Controller) tryDeleted(ctx context.Context, r *deletedRun) {
	weight := min(int64(perRun+5*len(r.object)), memory)
	if c.memory.Acquire(ctx, weight) != nil {
		return // ctx has ended
	}
	last := !r.failing.IsZero() && c.Now().Sub(r.failing) >= deletedPatience
	err := c.ArchiveDeleted(ctx, r.object, last)
	c.memory.Release(weight)
	switch {
	case err == nil:
		c.dropDeleted(r)
	case ctx.Err() != nil:
	case archiver.PhaseOf(err) == "snapshot", last && causeOf(err) != outage:
		c.giveUpDeleted(r, err)
	default:
		c.retryDeleted(r, err)
	}
}

// retryDeleted queues a deleted run again. While store or index are away its time does not begin:
// when they are back, all runs that wait are archived.
func (c *Controller) retryDeleted(r *deletedRun, err error) {
	phase := archiver.PhaseOf(err)
	c.Metrics.Failures.WithLabelValues(phase).Inc()
	if c.retries.NumRequeues(r.uid) == 0 {
		c.Log.Error(err, "A deleted run is not archived yet: it is kept in memory and tried again", "run",
			r.String(), "phase", phase)
	}
	if away := isStoring(phase) && causeOf(err) == outage; !away && r.failing.IsZero() {
		r.failing = c.Now()
	}
	c.retries.AddRateLimited(r.uid)
}

// giveUpDeleted drops a deleted run that cannot be archived. One that only the index does not take
// is in the archive.
func (c *Controller) giveUpDeleted(r *deletedRun, err error) {
	phase, says := archiver.PhaseOf(err), "A deleted run cannot be archived, and is lost to the archive"
	if phase == "index" {
		says = "A deleted run is in the archive, but not in the index"
	} else {
		c.Metrics.Lost.Inc()
	}
	c.Log.Error(err, says, "run", r.String(), "phase", phase)
	c.dropDeleted(r)
	c.ForgetLogs(r.uid)
}

func (c *Controller) dropDeleted(r *deletedRun) {
	c.Deleted.remove(r)
	c.retries.Forget(r.uid)
}
