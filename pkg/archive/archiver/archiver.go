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
	"k8s.io/apimachinery/pkg/types"
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

// Options configures an Archiver.
type Options struct {
	// Cluster is the cluster's name in the archive.
	Cluster layout.Cluster
	// Class is the value of run.ClassLabel on runs that this archiver archives.
	Class string
	Store store.Store
	// Index may be nil: rows are not written then.
	Index index.Index
	// Config is for the API server. It should have no client-side rate limit: the number of workers
	// and the API server's priority and fairness bound the requests.
	Config *rest.Config
	// Version of the archiver and Kubernetes of the API server go into commits.
	Version, Kubernetes string
	// Keep has the policies on how long archived runs stay in the cluster.
	Keep stay.Policies
	// ChildPatience is how long a finished PipelineRun waits for the runs it created, from when
	// this process first saw it wait; 0 means an hour.
	ChildPatience time.Duration
	// Logs is how logs are read. Follow needs Spool, a directory for this archiver alone, and
	// follows at most Streams logs at a time.
	Logs    LogMode
	Spool   string
	Streams int

	Metrics *Metrics
	// Events may be nil: no events are sent then about runs whose finalizer admission keeps. It
	// must not block.
	Events EventSink
	Now    func() time.Time
	Log    logr.Logger
}

// EventSink sends an event about an object. client-go's record.EventRecorder is one.
type EventSink interface {
	Event(object runtime.Object, eventtype, reason, message string)
}

// Archiver archives runs. Its methods may be called concurrently for different runs. Two archivers
// at work on the same run only waste time: one of them commits.
type Archiver struct {
	Options
	// Client reads and changes runs.
	Client   *run.Client
	kube     kubernetes.Interface
	Follower *podlog.Follower
	Recent   *observed.Events
	// silence is how long the kubelet may send nothing of a log.
	silence time.Duration
	notes   notes
	// Families knows which runs own which, as long as RunReflectors run. Without, no run is pruned.
	Families *observed.Families
	// Ranking has the newest archived runs of each Pipeline and Task, for policies with "last".
	Ranking *stay.Ranking
	// namespaces of the runs that this process has archived.
	namespaces sync.Map
	refusals   refusals
	// OnCommit is called for each run that this archiver commits.
	OnCommit func(*run.Run)
}

// New returns an Archiver that watches nothing yet.
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
		silence: podlog.Silence, Ranking: stay.NewRanking(o.Keep), Families: observed.NewFamilies(),
		OnCommit: func(*run.Run) {}}
	if o.Logs == Follow {
		if a.Follower, err = podlog.NewFollower(kube, o.Spool, o.Streams,
			podlog.Metrics{Streams: o.Metrics.streams, Unfollowed: o.Metrics.unfollowed}, o.Log); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Outcome is how far an attempt got.
type Outcome string

// Outcomes of Archive, which are values of a metric's label.
const (
	// Gone: the run no longer exists.
	Gone Outcome = "gone"
	// Ignored: the run is opted out, or belongs to an archiver of another class.
	Ignored Outcome = "ignored"
	// Waiting: the run is protected, but not finished yet, or waits for something (Reason).
	Waiting Outcome = "waiting"
	// Committed: the run is in the archive and still has the finalizer.
	Committed Outcome = "committed"
	// Archived: the run is in the archive and the finalizer is removed.
	Archived Outcome = "archived"
	// Pruned: the run was archived before, and is now deleted from the cluster.
	Pruned Outcome = "pruned"
)

// Result is the result of an attempt.
type Result struct {
	Outcome Outcome
	// Reason and Detail say what a finished run waits for.
	Reason, Detail string
	// Again is after what time to try again without being triggered by a change; 0: never.
	Again time.Duration
	// Stored: the store and the index have the run, and have answered in this attempt.
	Stored bool
}

// conflictTries bounds the attempts of one call that end with a conflict (409).
const conflictTries = 5

// Archive takes a run as far as possible now. After an error the run is still in the cluster,
// protected if it was, and Archive may be called again.
//
// Without removeFinalizer it stops after the commit. For a backlog this makes all runs safe before
// the first finalizer is removed, which costs the API server more than everything before it.
func (a *Archiver) Archive(ctx context.Context, ref run.Reference, removeFinalizer bool) (Result, error) {
	return a.attempt(ctx, ref, removeFinalizer, nil)
}

// ArchiveListed is Archive without removeFinalizer, for a run as a list returned it; the caller has
// seen no change of the run since. For a backlog lists cost the API server a fraction of single
// reads.
func (a *Archiver) ArchiveListed(ctx context.Context, ref run.Reference, object []byte) (Result, error) {
	r, err := run.Parse(object)
	if err != nil || !r.Finished() || r.Reference() != ref {
		r = nil // read it instead: that gives a proper error
	}
	return a.attempt(ctx, ref, false, r)
}

func (a *Archiver) attempt(ctx context.Context, ref run.Reference, removeFinalizer bool, r *run.Run) (Result, error) {
	result, err := a.archive(ctx, ref, removeFinalizer, r)
	// Tekton writes a running run several times a second, so conflicts are normal.
	for try := 1; apierrors.IsConflict(err) && try < conflictTries; try++ {
		result, err = a.archive(ctx, ref, removeFinalizer, nil)
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

// archive makes one attempt. It reads the run if r is nil.
func (a *Archiver) archive(ctx context.Context, ref run.Reference, removeFinalizer bool, r *run.Run) (Result, error) {
	if r == nil {
		var err error
		if r, err = a.snapshot(ctx, ref); err != nil {
			return Result{}, &phaseError{"snapshot", err}
		}
	}
	if r != nil && !a.archives(r) {
		a.ForgetLogs(r.UID)
	}
	switch {
	case r == nil:
		a.forgetAttempts(ref)
		return Result{Outcome: Gone}, nil
	case r.Labels[run.ClassLabel] != a.Class:
		a.forgetAttempts(ref)
		return Result{Outcome: Ignored}, nil
	case r.OptedOut():
		err := a.refused(r, a.Client.Unprotect(ctx, r))
		if err == nil {
			a.forgetAttempts(ref)
		}
		return Result{Outcome: Ignored}, phase("release", err)
	case r.Archived():
		a.forgetAttempts(ref)
		result, err := a.prune(ctx, r)
		return result, phase("prune", err)
	case !r.Finished() && r.DeletionTimestamp.IsZero():
		return Result{Outcome: Waiting}, phase("protect", a.refused(r, a.protect(ctx, r)))
	}
	commit, err := a.commitRun(ctx, r)
	if err != nil {
		return Result{}, err
	}
	if !removeFinalizer && r.DeletionTimestamp.IsZero() {
		return Result{Outcome: Committed, Stored: true}, nil
	}
	if err := a.refused(r, a.removeFinalizer(ctx, r, commit)); err != nil {
		return Result{}, &phaseError{"release", err}
	}
	a.forget(r)
	return Result{Outcome: Archived, Stored: true}, nil
}

// archives reports whether it is this archiver that is still to archive a run.
func (a *Archiver) archives(r *run.Run) bool {
	return !r.OptedOut() && !r.Archived() && r.Labels[run.ClassLabel] == a.Class
}

// ArchiveDeleted archives a run that was deleted before it was protected. object is its last state
// from the watch. Pods and logs are usually gone with it. In the last attempt it waits for nothing,
// and does without logs that cannot be read.
func (a *Archiver) ArchiveDeleted(ctx context.Context, object []byte, last bool) error {
	r, err := run.Parse(object)
	if err != nil {
		return &phaseError{"snapshot", err}
	}
	if !a.archives(r) {
		a.ForgetLogs(r.UID)
		return nil
	}
	r.Deleted, r.Last = true, last
	if _, err := a.commitRun(ctx, r); err != nil {
		return fmt.Errorf("archive %s, which was deleted: %w", r.Reference(), err)
	}
	a.forget(r)
	return nil
}

// uploadAndCommit stores all parts, and then the commit. After an error it deletes the parts it
// stored. The names are values of the metrics' label "phase".
func (a *Archiver) uploadAndCommit(ctx context.Context, r *run.Run) (*manifest.Commit, error) {
	u := newUpload(a, r)
	for _, p := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"settle", func(context.Context) error { return awaitSigning(r, a.Now()) }},
		{"children", func(ctx context.Context) error { return a.awaitChildren(ctx, r) }},
		{"containers", u.awaitContainers},
		{"record", u.record},
		{"logs", u.logsThatFit},
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

// ForgetNamespaces leaves out names that Namespaces has returned: a process sees any number of
// them.
func (a *Archiver) ForgetNamespaces(names []string) {
	for _, name := range names {
		a.namespaces.Delete(name)
	}
}

// Namespaces returns the namespaces of the runs that this process has archived, since they were
// forgotten.
func (a *Archiver) Namespaces() []string {
	var names []string
	a.namespaces.Range(func(name, _ any) bool {
		names = append(names, name.(string))
		return true
	})
	return names
}

// forgetAttempts drops what is remembered of attempts, once there will be none any more.
func (a *Archiver) forgetAttempts(ref run.Reference) {
	a.notes.forgetName(ref)
	a.refusals.forget(ref)
}

// forget drops everything held in memory and in the spool for an archived run.
func (a *Archiver) forget(r *run.Run) {
	a.Recent.Forget(r.Namespace, a.objectsOf(r)...)
	a.notes.forget(r.Reference(), r.UID)
	a.refusals.forget(r.Reference())
	a.ForgetLogs(r.UID)
}

// ForgetLogs deletes what the spool has of a run. An attempt does not call it for a run that is
// gone: that may still be archived from its last state, with its logs. The Controller calls it when
// it is not.
func (a *Archiver) ForgetLogs(uid types.UID) {
	if a.Follower != nil {
		a.Follower.Forget(uid)
	}
}

// phase wraps a non-nil error with the phase it occurred in.
func phase(name string, err error) error {
	if err == nil {
		return nil
	}
	return &phaseError{name, err}
}
