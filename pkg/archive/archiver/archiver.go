package archiver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/podlog"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Options are what an Archiver works with.
type Options struct {
	// Cluster names the cluster in the archive.
	Cluster layout.Cluster
	// Class is the value of ClassLabel on runs that this archiver archives.
	Class string
	Store store.Store
	// Index may be nil: there is none then.
	Index index.Index
	// Config reaches the API server. It should have no rate limit on the client's side: the number
	// of workers bounds the archiver, and the API server's priority and fairness the rest.
	Config *rest.Config
	// Version is the archiver's, Kubernetes the API server's: they are in commits.
	Version, Kubernetes string
	// Keep says how long runs stay in the cluster after they were committed.
	Keep stay.Policies
	// ChildPatience is how long a finished PipelineRun waits for the runs that it made, from when
	// this process met the first that it waits for; 0 means an hour.
	ChildPatience time.Duration
	// Logs says how logs are read; Follow needs Spool, a directory of the archiver's own, and
	// follows at most Streams logs at a time.
	Logs    LogMode
	Spool   string
	Streams int

	Metrics *Metrics
	// Events may be nil: then there are none about runs that cannot be released. It must not block.
	Events EventSink
	Now    func() time.Time
	Log    logr.Logger
}

// EventSink takes an event about an object. A record.EventRecorder of client-go is one.
type EventSink interface {
	Event(object runtime.Object, eventtype, reason, message string)
}

// Archiver archives runs. Its methods may be called concurrently, for one run by one caller at a
// time; that two of them meet in one run all the same costs time and nothing else.
type Archiver struct {
	Options
	// Client reads and changes runs.
	Client   *run.Client
	kube     kubernetes.Interface
	Follower *podlog.Follower
	Recent   *observed.Events
	// indexed has the UIDs of runs that this process has put into the index and not released yet:
	// those of a backlog are looked at twice.
	indexed sync.Map
	// committed has the same runs by their references, and the UID of the PipelineRun that made
	// each.
	committed sync.Map
	patience  patience
	// Ranking knows the runs of which only the last stay.
	Ranking *stay.Ranking
	// namespaces has those of runs that this process has archived.
	namespaces sync.Map
	refusals   refusals
	// OnCommit is told of each run that this archiver commits.
	OnCommit func(*run.Run)
}

// New makes an Archiver.
func New(o Options) (*Archiver, error) {
	runs, err := run.NewClient(o.Config)
	if err != nil {
		return nil, err
	}
	typed := rest.CopyConfig(o.Config)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	kube, err := kubernetes.NewForConfig(typed)
	if err != nil {
		return nil, fmt.Errorf("make a client of pods: %w", err)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.ChildPatience == 0 {
		o.ChildPatience = defaultChildPatience
	}
	a := &Archiver{Options: o, Client: runs, kube: kube, Recent: observed.NewEvents(o.Metrics.eventDropped),
		Ranking: stay.NewRanking(o.Keep), OnCommit: func(*run.Run) {}}
	if o.Logs == Follow {
		if a.Follower, err = podlog.NewFollower(kube, o.Spool, o.Streams,
			podlog.Metrics{Streams: o.Metrics.streams, Unfollowed: o.Metrics.unfollowed}, o.Log); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Outcome is how far an attempt brought a run.
type Outcome string

// Outcomes of Archive.
const (
	// Gone: there is no such run any more.
	Gone Outcome = "gone"
	// Ignored: its author does not want it archived, or another archiver is to do it.
	Ignored Outcome = "ignored"
	// Waiting: the run is protected, and is not finished or others still add to it.
	Waiting Outcome = "waiting"
	// Committed: the run is in the archive, and not yet released.
	Committed Outcome = "committed"
	// Archived: the run is in the archive, and released.
	Archived Outcome = "archived"
	// Pruned: it was released before, and has been deleted from the cluster.
	Pruned Outcome = "pruned"
)

// Result is what became of a run.
type Result struct {
	Outcome Outcome
	// Reason and Detail say what a finished run waits for.
	Reason, Detail string
	// Again is when the run wants to be looked at again, 0 if it need not be before it changes.
	Again time.Duration
}

// conflictTries bounds how often Archive reads a run anew that somebody else has changed.
const conflictTries = 5

// Archive brings a run as far as it can go now. With an error the run is still in the cluster,
// protected if it was, and Archive may be called again. Without release it stops when the run is
// committed: of many that wait, all are safe before the first is released, which costs the API
// server more than all before it.
func (a *Archiver) Archive(ctx context.Context, ref run.Reference, release bool) (Result, error) {
	return a.attempt(ctx, ref, release, nil)
}

// ArchiveListed is Archive, without release, of a run as a list gave it. It is for many that wait:
// a list costs the API server a fraction of as many reads. The caller has seen no change of the run
// since.
func (a *Archiver) ArchiveListed(ctx context.Context, ref run.Reference, object []byte) (Result, error) {
	r, err := run.Parse(object)
	if err != nil || !r.Finished() || r.Reference() != ref {
		r = nil // a read says more
	}
	return a.attempt(ctx, ref, false, r)
}

func (a *Archiver) attempt(ctx context.Context, ref run.Reference, release bool, r *run.Run) (Result, error) {
	result, err := a.archive(ctx, ref, release, r)
	// Tekton writes a run several times a second while it works; what was read a moment ago is
	// often old.
	for try := 1; apierrors.IsConflict(err) && try < conflictTries; try++ {
		result, err = a.archive(ctx, ref, release, nil)
	}
	var w *wait
	switch {
	case errors.As(err, &w):
		return Result{Outcome: Waiting, Reason: w.reason, Detail: w.detail, Again: w.again}, nil
	case err != nil:
		return Result{}, fmt.Errorf("archive %s: %w", ref, err)
	}
	return result, nil
}

// archive reads the run if it is nil.
func (a *Archiver) archive(ctx context.Context, ref run.Reference, release bool, r *run.Run) (Result, error) {
	if r == nil {
		var err error
		if r, err = a.snapshot(ctx, ref); err != nil {
			return Result{}, &phaseError{"snapshot", err}
		}
	}
	switch {
	case r == nil:
		a.committed.Delete(ref)
		return Result{Outcome: Gone}, nil
	case r.Labels[run.ClassLabel] != a.Class:
		return Result{Outcome: Ignored}, nil
	case r.OptedOut():
		return Result{Outcome: Ignored}, phase("release", a.refused(r, a.Client.Unprotect(ctx, r)))
	case r.Released():
		a.committed.Delete(ref)
		result, err := a.prune(ctx, r)
		return result, phase("prune", err)
	case !r.Finished() && r.DeletionTimestamp.IsZero():
		return Result{Outcome: Waiting}, phase("protect", a.refused(r, a.protect(ctx, r)))
	}
	commit, err := a.commitRun(ctx, r)
	if err != nil {
		return Result{}, err
	}
	if !release && r.DeletionTimestamp.IsZero() {
		return Result{Outcome: Committed}, nil
	}
	if err := a.refused(r, a.release(ctx, r, commit)); err != nil {
		return Result{}, &phaseError{"release", err}
	}
	a.forget(r)
	return Result{Outcome: Archived}, nil
}

// ArchiveDeleted archives a run that has gone from the cluster without having been archived:
// nothing protected it. object is the last that the API server said of it. Pods and logs are gone
// with it, as a rule.
func (a *Archiver) ArchiveDeleted(ctx context.Context, object []byte) error {
	r, err := run.Parse(object)
	if err != nil {
		return &phaseError{"snapshot", err}
	}
	if r.OptedOut() || r.Released() || r.Labels[run.ClassLabel] != a.Class {
		return nil
	}
	r.Deleted = true
	if _, err := a.commitRun(ctx, r); err != nil {
		return fmt.Errorf("archive %s, which was deleted: %w", r.Reference(), err)
	}
	a.forget(r)
	return nil
}

// uploadAndCommit uploads all parts and commits.
func (a *Archiver) uploadAndCommit(ctx context.Context, r *run.Run) (*manifest.Commit, error) {
	u := newUpload(a, r)
	for _, p := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"settle", func(context.Context) error { return settled(r, a.Now()) }},
		{"children", func(ctx context.Context) error { return a.awaitChildren(ctx, r) }},
		{"record", u.record},
		{"logs", u.logs},
		{"events", u.events},
	} {
		began := time.Now()
		if err := p.do(ctx); err != nil {
			return nil, errors.Join(&phaseError{p.name, err}, u.discard(ctx, nil))
		}
		a.Metrics.phase(p.name, began)
	}
	began := time.Now()
	c, err := u.commit(ctx)
	if err == nil {
		a.Metrics.phase("commit", began)
		a.Metrics.countCommit(c)
		a.namespaces.Store(r.Namespace, struct{}{})
		a.OnCommit(r)
	}
	return c, phase("commit", err)
}

// Namespaces returns those of runs that this process has archived.
func (a *Archiver) Namespaces() []string {
	var names []string
	a.namespaces.Range(func(name, _ any) bool {
		names = append(names, name.(string))
		return true
	})
	return names
}

// forget drops what was kept for a run that needs it no more.
func (a *Archiver) forget(r *run.Run) {
	a.Recent.Forget(r.Namespace, a.objectsOf(r)...)
	a.indexed.Delete(r.UID)
	a.committed.Delete(r.Reference())
	a.patience.forget(r.UID)
	a.refusals.forget(r.UID)
	if a.Follower != nil {
		a.Follower.Forget(r.UID)
	}
}

// phase names the phase of an error, if it is one.
func phase(name string, err error) error {
	if err == nil {
		return nil
	}
	return &phaseError{name, err}
}
