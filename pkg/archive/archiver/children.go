package archiver

import (
	"context"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const (
	// childrenAgain is when a run is looked at again that waits for its children, if none of them
	// tells it.
	childrenAgain = 30 * time.Second
	// defaultChildPatience is long enough for a backlog, in which children come before and after.
	defaultChildPatience = time.Hour
)

// awaitChildren holds a PipelineRun back until the runs that it made are in the archive, or gone:
// whoever finds a PipelineRun there finds all of it. Of one that is being deleted only finished
// children count. What still runs goes on until the garbage collector deletes it, which waits for
// the PipelineRun; it is archived by itself.
//
// So does a child that is not there in time: a CustomRun, say, of a kind that nobody handles, whose
// PipelineRun was cancelled.
func (a *Archiver) awaitChildren(ctx context.Context, r *run.Run) error {
	for _, ref := range r.Children() {
		if owner, ok := a.committed.Load(ref); ok && owner == r.UID {
			continue
		}
		child, err := a.snapshot(ctx, ref)
		if err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		switch {
		case child == nil || child.UID == r.UID || child.Released() || child.OptedOut() || !run.IsOwnedBy(child, r) ||
			child.Labels[run.ClassLabel] != a.Class:
			continue
		case !child.Finished() && !r.DeletionTimestamp.IsZero():
			continue
		}
		if commit, err := a.findCommit(ctx, child); err != nil || commit != nil {
			if err != nil {
				return fmt.Errorf("%s: %w", ref, err)
			}
			continue
		}
		if a.patience.over(r.UID, WaitChildren, a.Now(), a.ChildPatience) {
			a.Log.Info("A run is archived before a run that it made, which did not come in time", "run", r.Reference().String(),
				"child", ref.String())
			continue
		}
		return &wait{reason: WaitChildren, detail: ref.String() + " is not in the archive yet", again: childrenAgain}
	}
	return nil
}
