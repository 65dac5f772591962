package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/podlog"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Priorities of runs in the queue. What has just happened comes before what was found at the start,
// and that all is safe before that the first of it is released.
const (
	urgent  = 10
	backlog = 0
	// parents are PipelineRuns of a backlog: they wait for what they made.
	parents  = -5
	later    = -10
	whenIdle = -20
)

// atOnce is no delay.
const atOnce time.Duration = 0

const (
	// workers bounds how many runs are worked on at a time. They mostly wait: for the API server,
	// the store's disk or network.
	workers = 24
	// memory is what runs that are worked on may take together, in bytes, and perRun what one takes
	// beside five times its size: it is read, cut, decoded, compressed and sent.
	memory = 24 << 20
	perRun = 256 << 10
	// firstRetry and lastRetry bound the pauses between attempts.
	firstRetry, lastRetry = 200 * time.Millisecond, 30 * time.Second
	// metricsEvery and logEvery are how often it is said what waits.
	metricsEvery, logEvery = 5 * time.Second, time.Minute
)

// Controller watches a cluster's runs, and archives each when it is time.
type Controller struct {
	*archiver.Archiver
	queue   priorityqueue.PriorityQueue[run.Reference]
	memory  *semaphore.Weighted
	waiting *waiting
	deleted *deletedRuns
	pause   pause
	// pages has those of the kinds of which many wait.
	pages  sync.Map
	synced sync.WaitGroup
	ready  chan struct{}
}

// New makes a Controller, which runs once.
func New(a *archiver.Archiver) *Controller {
	c := &Controller{
		Archiver: a, memory: semaphore.NewWeighted(memory), waiting: &waiting{runs: map[run.Reference]*waitingRun{}},
		ready: make(chan struct{}),
	}
	c.deleted = newDeletedRuns(c)
	a.OnCommit = func(r *run.Run) {
		if took, ok := c.waiting.latency(r.Reference(), time.Now()); ok {
			a.Metrics.Latency.WithLabelValues(r.Kind).Observe(took.Seconds())
		}
		c.tellParents(r.Parents(), parents)
	}
	return c
}

// Ready says why the controller does not know yet what there is in the cluster, nil if it does.
func (c *Controller) Ready() error {
	select {
	case <-c.ready:
		return nil
	default:
		return errors.New("the state of the cluster has not been read yet")
	}
}

// Run works until ctx ends. Then it finishes nothing: whatever is under way is begun anew by the
// next one.
func (c *Controller) Run(ctx context.Context) error {
	c.queue = priorityqueue.New("archive", func(o *priorityqueue.Opts[run.Reference]) {
		o.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[run.Reference](firstRetry, lastRetry)
		o.Log = c.Log
	})
	shutDown := sync.OnceFunc(c.queue.ShutDown) // a second time it panics
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
	for range workers {
		running.Go(func() {
			c.Recent.Await(ctx) // a run's events are part of it
			c.work(ctx)
		})
	}
	running.Go(func() { c.deleted.run(ctx) })
	running.Go(func() { c.synced.Wait(); close(c.ready); c.Log.Info("The state of the cluster is known") })
	c.report(ctx)
	shutDown()
	for _, w := range watchers {
		w.Synced() // who waits for that waits no more
	}
	return nil
}

// watchers are one for each resource, and one for events.
func (c *Controller) watchers(ctx context.Context) ([]*observed.Reflector, error) {
	events, err := c.EventReflector()
	if err != nil {
		return nil, err
	}
	all := []*observed.Reflector{events}
	for i, resource := range run.Resources {
		w, err := observed.NewReflector(c.Config, resource, run.Kinds[i], &observed.Run{}, &observed.RunList{},
			func(object []byte) (runtime.Object, error) {
				s := &observed.Run{}
				return s, s.Read(object)
			})
		if err != nil {
			return nil, err
		}
		sighted := func(object any) *observed.Run {
			s := object.(*observed.Run)
			s.Kind = run.Kinds[i] // the decoder takes it away
			return s
		}
		w.Strip = func(object any) (any, error) {
			s := sighted(object)
			s.Object = nil
			c.judge(s)
			return s, nil
		}
		w.Page = func(page runtime.Object) {
			list := page.(*observed.RunList)
			for j := range list.Items {
				_, _ = w.Strip(&list.Items[j])
			}
		}
		w.First = func(objects []any) {
			runs := make([]*observed.Run, 0, len(objects))
			for _, o := range objects {
				runs = append(runs, sighted(o))
			}
			c.first(ctx, run.Kinds[i], runs)
		}
		w.Seen = func(o any) {
			s := sighted(o)
			c.judge(s)
			if p := c.pagesOf(s.Kind); p != nil {
				p.saw(s.Reference())
			}
			c.saw(s, urgent)
		}
		w.Gone = func(o any) { c.gone(sighted(o)) }
		all = append(all, w)
	}
	for _, w := range all {
		c.synced.Add(1)
		known := c.Metrics.Synced.WithLabelValues(w.Resource.Resource)
		w.Synced = sync.OnceFunc(func() { known.Set(1); c.synced.Done() })
	}
	return all, nil
}

// saw decides whether there is something to do for a run.
func (c *Controller) saw(s *observed.Run, priority int) {
	ref := s.Reference()
	switch {
	case s.Class != c.Class, s.OptedOut && !s.Protected:
		return
	case s.Archived:
		c.waiting.done(ref)
		c.tellParents(s.Parents, urgent)
		c.leaves(s)
	case s.Finished || !s.DeletionTimestamp.IsZero():
		if !s.DeletionTimestamp.IsZero() {
			priority = urgent // somebody waits for it
		}
		c.waiting.saw(ref, time.Now(), priority == urgent, s.Size)
		c.add(ref, priority, atOnce)
	case !s.Protected || s.Foreign:
		c.add(ref, priority, atOnce)
	}
	if c.Follower != nil && !s.Finished && !s.OptedOut && s.DeletionTimestamp.IsZero() {
		for _, container := range s.Attempt.ToFollow() {
			c.Follower.Follow(s.Namespace, podlog.Key{Run: s.UID, Pod: s.Attempt.PodName, Container: container})
		}
	}
}

// gone decides about a run that is not there any more. One that nobody protected may not be in the
// archive.
func (c *Controller) gone(s *observed.Run) {
	c.waiting.done(s.Reference())
	c.Ranking.Remove(s.UID)
	c.tellParents(s.Parents, urgent)
	if !s.Archived && !s.OptedOut && s.Class == c.Class {
		c.deleted.keep(s)
	}
}

// tellParents looks again at those PipelineRuns that wait for what they made.
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

// work takes runs from the queue until it is shut down.
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

// handle brings a run further, and says when it is to be looked at again.
func (c *Controller) handle(ctx context.Context, ref run.Reference, priority int) {
	if left := c.pause.left(); left > 0 {
		c.add(ref, priority, left)
		return
	}
	weight := min(int64(perRun+5*c.waiting.size(ref)), memory)
	if c.memory.Acquire(ctx, weight) != nil {
		return // the end
	}
	result, err := c.archive(ctx, ref, priority)
	c.memory.Release(weight)
	if err != nil {
		c.failed(ctx, ref, priority, err)
		return
	}
	c.pause.over()
	c.queue.Forget(ref)
	switch result.Outcome {
	case archiver.Waiting:
		if result.Reason != "" {
			c.waiting.because(ref, result.Reason, result.Detail)
		}
	case archiver.Committed:
		c.waiting.because(ref, "release", "")
		c.add(ref, later, atOnce)
		return
	default:
		c.waiting.done(ref)
		c.Metrics.Runs.WithLabelValues(ref.Kind, string(result.Outcome)).Inc()
	}
	if result.Again > 0 {
		next := priority // many that wait are not to keep what they wait for from its turn
		if result.Outcome == archiver.Archived {
			next = whenIdle
		}
		c.add(ref, next, result.Again)
	}
}

// failed has a run tried again. The first failure is logged, and then a summary each minute
// (waiting.report).
func (c *Controller) failed(ctx context.Context, ref run.Reference, priority int, err error) {
	if ctx.Err() != nil {
		return
	}
	phase := archiver.PhaseOf(err)
	c.Metrics.Failures.WithLabelValues(phase).Inc()
	c.waiting.because(ref, phase, err.Error())
	if c.queue.NumRequeues(ref) == 0 {
		c.Log.Error(err, "A run stays in the cluster, and is tried again", "run", ref.String(), "phase", phase)
	}
	if phase == "commit" || phase == "record" || phase == "index" {
		c.pause.longer()
	}
	c.queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority, RateLimited: true}, ref)
}

// report says what waits, until ctx ends.
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
