package archiver

import (
	"context"
	"errors"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// What an attempt that died has left: before the commit, parts under keys of that attempt. The next
// attempt ignores them, and the sweep deletes them. After the commit and before the finalizer was
// removed, the run is in the archive and still protected: the next attempt finds the commit, adds
// it to the index, which may have it already, and removes the finalizer.

// commitRun returns the run's commit, an existing one or a new one, after it was added to the
// index.
func (a *Archiver) commitRun(ctx context.Context, r *run.Run) (*manifest.Commit, error) {
	commit, err := a.findCommit(ctx, r.ID())
	if err != nil {
		return nil, &phaseError{"commit", err}
	}
	if commit == nil {
		if commit, err = a.uploadAndCommit(ctx, r); err != nil {
			return nil, err
		}
	}
	if err := a.addToIndex(ctx, commit); err != nil {
		return nil, &phaseError{"index", err}
	}
	a.noteCommitted(r)
	return commit, nil
}

// noteCommitted saves the run's PipelineRun a request when it waits for the run.
func (a *Archiver) noteCommitted(r *run.Run) {
	isPipelineRun := func(o metav1.OwnerReference) bool { return o.Kind == run.PipelineRunKind }
	if slices.ContainsFunc(r.OwnerReferences, isPipelineRun) {
		a.notes.write(r.Reference(), r.UID, func(n *note) { n.committed = true })
	}
}

// findCommit returns the run's commit, nil if there is none. A damaged commit is an error, and the
// run stays: its key is taken, so an administrator has to look.
func (a *Archiver) findCommit(ctx context.Context, id layout.Run) (*manifest.Commit, error) {
	key, err := a.Cluster.Commit(id)
	if err != nil {
		return nil, err
	}
	c, err := manifest.Read(ctx, a.Store, key)
	if errors.Is(err, store.ErrNotExist) {
		return nil, nil
	}
	return c, err
}
