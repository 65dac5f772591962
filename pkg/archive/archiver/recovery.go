package archiver

import (
	"context"
	"errors"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// What an archiver that died has left is found here. Before the commit that is nothing but parts
// under keys of its own: the next attempt begins at the beginning, and fsck finds them. Between
// commit and release the run is in the archive and still protected in the cluster: the next attempt
// meets the commit, puts it into the index, in which it may be already, and goes on with the
// release.

// commitRun returns a run's commit: the one that is there, or its own. The index has it then.
func (a *Archiver) commitRun(ctx context.Context, r *run.Run) (*manifest.Commit, error) {
	commit, err := a.findCommit(ctx, r)
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

// noteCommitted spares a PipelineRun that waits for the run a request.
func (a *Archiver) noteCommitted(r *run.Run) {
	for _, owner := range r.OwnerReferences {
		if owner.Kind == run.PipelineRunKind {
			a.committed.Store(r.Reference(), owner.UID)
		}
	}
}

// findCommit returns the commit of a run that is in the archive already, nil if there is none: this
// archiver's, of before it was killed, or another's. One that is damaged is an error, and the run
// stays: its key is taken, so somebody has to look.
func (a *Archiver) findCommit(ctx context.Context, r *run.Run) (*manifest.Commit, error) {
	key, err := a.Cluster.Commit(r.ID())
	if err != nil {
		return nil, err
	}
	c, err := manifest.Read(ctx, a.Store, key)
	if errors.Is(err, store.ErrNotExist) {
		return nil, nil
	}
	return c, err
}
