package controller

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Priorities: just finished; start-up backlog (commit only); PipelineRuns of the backlog, which
// wait for the runs they created; removal of the backlog's finalizers; runs that have failed
// oftenFailed times, which must not hold up first attempts; pruning. All of a backlog is committed
// before the first finalizer of it is removed.
const (
	urgent         = 10
	backlog        = 0
	backlogParents = -5
	removal        = -10
	failing        = -15
	pruning        = -20
)

// atOnce is no delay.
const atOnce time.Duration = 0

const (
	// workers is how many runs are handled at a time. They mostly wait for the API server or the
	// store.
	workers = 24
	// memory is what all runs being handled may take together, in bytes. One run is assumed to take
	// perRun and five times its size: it is read, cut, decoded, compressed and sent.
	memory = 24 << 20
	perRun = 256 << 10
	// firstRetry and lastRetry bound the delay between attempts.
	firstRetry, lastRetry = 200 * time.Millisecond, 30 * time.Second
	// oftenFailed is from how many failures on a run comes after the others.
	oftenFailed = 3
	// familiesAgain is when pruning is tried again while a watch starts over.
	familiesAgain = 10 * time.Second
	// metricsEvery and logEvery are how often it is reported what waits.
	metricsEvery, logEvery = 5 * time.Second, time.Minute
)

// Controller watches a cluster's runs and archives each when it is due.
type Controller struct {
	*archiver.Archiver
	queue   priorityqueue.PriorityQueue[run.Reference]
	memory  *semaphore.Weighted
	waiting *waiting
	backoff backoff
	// Deleted has the deleted runs that are still to be archived. It may be that of a Controller that
	// has ended.
	Deleted *Deleted
	retries *deletedQueue
	// pages by kind, for kinds of which many runs wait.
	pages  sync.Map
	synced sync.WaitGroup
	ready  chan struct{}
	// eventsPatience bounds awaitEvents, after which working is closed.
	eventsPatience time.Duration
	working        chan struct{}
}

// New returns a Controller, which can run once.
func New(a *archiver.Archiver) *Controller {
	c := &Controller{
		Archiver: a, memory: semaphore.NewWeighted(memory), waiting: &waiting{runs: map[run.Reference]*waitingRun{}},
		ready: make(chan struct{}), Deleted: &Deleted{}, retries: newDeletedQueue(),
		eventsPatience: eventsPatience, working: make(chan struct{}),
	}
	a.OnCommit = func(r *run.Run) {
		if took, ok := c.waiting.latency(r.Reference(), time.Now()); ok {
			a.Metrics.Latency.WithLabelValues(r.Kind).Observe(took.Seconds())
		}
		c.tellParents(r.Parents(), backlogParents)
	}
	return c
}

// Ready returns nil once the state of the cluster is known, an error before.
func (c *Controller) Ready() error {
	select {
	case <-c.ready:
		return nil
	default:
		return errors.New("the state of the cluster has not been read yet")
	}
}

// Run works until ctx ends. It does not finish attempts then: the next process starts them over.
func (c *Controller) Run(ctx context.Context) error {
	c.queue = priorityqueue.New("archive", func(o *priorityqueue.Opts[run.Reference]) {
		o.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[run.Reference](firstRetry, lastRetry)
		o.Log = c.Log
	})
	shutDown := sync.OnceFunc(c.queue.ShutDown) // a second call panics
	defer shutDown()
	if c.Follower != nil {
		defer c.Follower.Close()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watchers, err := c.watchers(ctx)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	for _, w := range watchers {
		running.Go(func() { w.Run(ctx) })
	}
	running.Go(func() {
		c.awaitEvents(ctx)
		for range workers {
			running.Go(func() { c.work(ctx) })
		}
		c.archiveDeleted(ctx)
	})
	running.Go(func() { c.synced.Wait(); close(c.ready); c.Log.Info("The state of the cluster is known") })
	c.report(ctx)
	shutDown()
	for _, w := range watchers {
		w.Synced() // ends the wait for c.synced
	}
	return nil
}

// watchers returns a reflector for each resource, and one for events.
func (c *Controller) watchers(ctx context.Context) ([]*observed.Reflector, error) {
	events, err := c.EventReflector()
	if err != nil {
		return nil, err
	}
	runs, err := c.RunReflectors()
	if err != nil {
		return nil, err
	}
	for i, w := range runs {
		c.handleRuns(ctx, run.Kinds[i], w)
	}
	all := append(slices.Clone(runs), events)
	for _, w := range all {
		c.synced.Add(1)
		known := c.Metrics.Synced.WithLabelValues(w.Resource.Resource)
		w.Synced = sync.OnceFunc(func() { known.Set(1); c.synced.Done() })
	}
	return all, nil
}

// handleRuns has a reflector of a kind's runs tell the controller, after Families: an attempt may
// depend on them.
func (c *Controller) handleRuns(ctx context.Context, kind string, w *observed.Reflector) {
	reduce, replace, put, remove := w.Listed, w.Initial, w.Changed, w.Deleted
	w.Listed = func(object runtime.Object) runtime.Object {
		s := reduce(object).(*observed.Run)
		c.findPolicy(s)
		return s
	}
	w.Initial = func(objects []any) {
		replace(objects)
		runs := make([]*observed.Run, 0, len(objects))
		for _, o := range objects {
			runs = append(runs, o.(*observed.Run))
		}
		c.initial(ctx, kind, runs)
	}
	w.Changed = func(o any) {
		put(o)
		s := o.(*observed.Run)
		c.findPolicy(s)
		if p := c.pagesOf(s.Kind); p != nil {
			p.invalidate(s.Reference())
		}
		c.changed(s, urgent)
	}
	w.Deleted = func(o any) {
		remove(o)
		c.runDeleted(o.(*observed.Run))
	}
}

// changed queues a run if there is something to do.
func (c *Controller) changed(s *observed.Run, priority int) {
	c.follow(s)
	ref := s.Reference()
	switch {
	case s.Class != c.Class, s.OptedOut && !s.Protected:
		return
	case s.Archived:
		c.noLongerWaits(ref)
		c.tellParents(s.Parents, urgent)
		c.schedulePruning(s)
	case s.Finished || !s.DeletionTimestamp.IsZero():
		if !s.DeletionTimestamp.IsZero() {
			priority = urgent // a user waits for the deletion
		}
		c.waiting.add(ref, time.Now(), priority == urgent, s.Size)
		c.add(ref, priority, atOnce)
	case !s.Protected || s.Foreign:
		c.add(ref, priority, atOnce)
	}
}

// runDeleted handles a deleted run. One that was not protected may not be in the archive.
func (c *Controller) runDeleted(s *observed.Run) {
	c.noLongerWaits(s.Reference())
	c.Ranking.Remove(s.UID)
	c.tellParents(s.Parents, urgent)
	if c.archives(s) && c.keepDeleted(s) {
		return // with its logs
	}
	c.ForgetLogs(s.UID)
}

// tellParents queues those of the PipelineRuns that wait for their children.
func (c *Controller) tellParents(of []run.Reference, priority int) {
	for _, parent := range of {
		if c.waiting.has(parent, archiver.WaitChildren) {
			c.add(parent, priority, atOnce)
		}
	}
}

func (c *Controller) add(ref run.Reference, priority int, after time.Duration) {
	c.queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority, After: after}, ref)
}

// work handles runs from the queue until it is shut down.
func (c *Controller) work(ctx context.Context) {
	for {
		ref, priority, shutdown := c.queue.GetWithPriority()
		if shutdown {
			return
		}
		c.handle(ctx, ref, priority)
		c.queue.Done(ref)
	}
}

// handle makes an attempt to archive a run, and queues the next one.
func (c *Controller) handle(ctx context.Context, ref run.Reference, priority int) {
	if left := c.backoff.remaining(); left > 0 {
		c.add(ref, priority, left)
		return
	}
	if priority == pruning && !c.Families.UpToDate() {
		c.add(ref, priority, familiesAgain) // without them nothing is pruned
		return
	}
	weight := min(int64(perRun+5*c.waiting.size(ref)), memory)
	if c.memory.Acquire(ctx, weight) != nil {
		return // ctx has ended
	}
	result, err := c.archive(ctx, ref, priority)
	c.memory.Release(weight)
	if err != nil {
		c.failed(ctx, ref, priority, err)
		return
	}
	if result.Stored {
		c.backoff.succeeded(ref)
	}
	c.queue.Forget(ref)
	switch result.Outcome {
	case archiver.Waiting:
		if result.Reason != "" {
			c.waiting.setReason(ref, result.Reason, result.Detail)
		}
	case archiver.Committed:
		c.waiting.setReason(ref, "release", "")
		c.add(ref, removal, atOnce)
		return
	default:
		c.noLongerWaits(ref)
		c.Metrics.Runs.WithLabelValues(ref.Kind, string(result.Outcome)).Inc()
	}
	if result.Again > 0 {
		next := priority // not higher: what it waits for must get its turn
		if result.Outcome == archiver.Archived {
			next = pruning
		}
		c.add(ref, next, result.Again)
	}
}

// noLongerWaits forgets why a run waited.
func (c *Controller) noLongerWaits(ref run.Reference) {
	c.waiting.remove(ref)
	c.backoff.forget(ref)
}

// failed queues a run again. Only its first failure is logged; after that, waiting.report logs a
// summary each minute.
func (c *Controller) failed(ctx context.Context, ref run.Reference, priority int, err error) {
	if ctx.Err() != nil {
		return
	}
	phase := archiver.PhaseOf(err)
	c.Metrics.Failures.WithLabelValues(phase).Inc()
	c.waiting.setReason(ref, phase, err.Error())
	failures := c.queue.NumRequeues(ref)
	if failures == 0 {
		c.Log.Error(err, "A run stays in the cluster, and is tried again", "run", ref.String(), "phase", phase)
	}
	if isStoring(phase) {
		c.backoff.failed(ref, causeOf(err))
	}
	if failures+1 >= oftenFailed {
		priority = min(priority, failing)
	}
	c.queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority, RateLimited: true}, ref)
}

// report reports what waits, until ctx ends.
func (c *Controller) report(ctx context.Context) {
	every := time.NewTicker(metricsEvery)
	defer every.Stop()
	logged := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-every.C:
			patience := time.Duration(0)
			if at.Sub(logged) >= logEvery {
				logged, patience = at, logEvery
			}
			c.waiting.report(c.Metrics, c.Log, at, patience)
			c.Metrics.Queued.WithLabelValues().Set(float64(c.queue.Len()))
		}
	}
}
