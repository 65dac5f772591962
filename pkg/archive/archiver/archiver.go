package archiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Options are what an Archiver works with.
type Options struct {
	// Cluster names the cluster in the archive.
	Cluster layout.Cluster
	Store   store.Store
	// Config reaches the API server. It should have no rate limit on the client's side: the number of workers bounds the
	// archiver, and the API server's priority and fairness the rest.
	Config *rest.Config
	// Version is the archiver's, Kubernetes the API server's: they are in commits.
	Version, Kubernetes string
	Now    func() time.Time
	Log    logr.Logger
}

// Archiver archives runs. Its methods may be called concurrently, for one run by one caller at a time; that two of them meet
// in one run all the same costs time and nothing else.
type Archiver struct {
	Options
	objects dynamic.Interface
	pods    kubernetes.Interface
}

// New makes an Archiver.
func New(o Options) (*Archiver, error) {
	objects, err := dynamic.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("make a client of runs: %w", err)
	}
	pods, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("make a client of pods: %w", err)
	}
	return &Archiver{Options: o, objects: objects, pods: pods}, nil
}

// Reference names a run in the cluster.
type Reference struct {
	Resource        schema.GroupVersionResource
	Namespace, Name string
}

func (r Reference) String() string { return r.Resource.Resource + " " + r.Namespace + "/" + r.Name }

// Outcome is how far an attempt brought a run.
type Outcome string

// Outcomes of Archive.
const (
	// Gone: there is no such run any more.
	Gone Outcome = "gone"
	// Waiting: the run is protected, and is not finished.
	Waiting Outcome = "waiting"
	// Archived: the run is in the archive, and released.
	Archived Outcome = "archived"
)

// conflictTries bounds how often Archive reads a run anew that somebody else has changed.
const conflictTries = 5

// Archive brings a run as far as it can go now. With an error the run is still in the cluster, protected if it was, and Archive may be
// called again.
func (a *Archiver) Archive(ctx context.Context, ref Reference) (Outcome, error) {
	outcome, err := a.archive(ctx, ref)
	// Tekton writes a run several times a second while it works; what was read a moment ago is often old.
	for try := 1; apierrors.IsConflict(err) && try < conflictTries; try++ {
		outcome, err = a.archive(ctx, ref)
	}
	if err != nil {
		return "", fmt.Errorf("archive %s: %w", ref, err)
	}
	return outcome, nil
}

func (a *Archiver) archive(ctx context.Context, ref Reference) (Outcome, error) {
	r, err := a.snapshot(ctx, ref)
	if err != nil || r == nil {
		return Gone, err
	}
	switch {
	case released(r):
		return Archived, nil
	case !r.finished() && r.DeletionTimestamp.IsZero():
		return Waiting, a.protect(ctx, r)
	}
	commit, err := a.committed(ctx, r)
	if err == nil && commit == nil {
		commit, err = a.store(ctx, r)
	}
	if err != nil {
		return "", err
	}
	return Archived, a.release(ctx, r, commit)
}

// store uploads all parts and commits.
func (a *Archiver) store(ctx context.Context, r *run) (*manifest.Commit, error) {
	u := newUpload(a, r)
	err := u.record(ctx)
	if err == nil {
		err = u.logs(ctx)
	}
	if err == nil {
		err = u.events(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, u.discard(ctx))
	}
	return u.commit(ctx)
}
