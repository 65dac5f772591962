package archiver

import (
	"context"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const (
	// childrenAgain is when a run that waits for its children is tried again, if no child's commit
	// triggers it before.
	childrenAgain = 30 * time.Second
	// defaultChildPatience is long enough for a backlog, which may have children in any order.
	defaultChildPatience = time.Hour
)

// awaitChildren makes a PipelineRun wait until the runs it created are archived or deleted, so that
// whoever finds a PipelineRun in the archive finds all of it. If the PipelineRun is being deleted,
// only finished children count: running ones continue until the garbage collector, which waits for
// the PipelineRun, deletes them, and are archived on their own.
//
// A child that is not archived within ChildPatience is archived on its own as well: for example a
// CustomRun that no controller handles, of a cancelled PipelineRun.
func (a *Archiver) awaitChildren(ctx context.Context, r *run.Run) error {
	if r.Last {
		return nil
	}
	for _, ref := range r.Children() {
		if owner, ok := a.committedChildren.Load(ref); ok && owner == r.UID {
			continue
		}
		child, err := a.snapshot(ctx, ref)
		if err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		switch {
		case child == nil || child.UID == r.UID || child.Archived() || child.OptedOut() || !run.IsOwnedBy(child, r) ||
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
			a.Log.Info("A run is archived before a run it created, which was not archived in time",
				"run", r.Reference().String(),
				"child", ref.String())
			continue
		}
		return &wait{reason: WaitChildren, detail: ref.String() + " is not in the archive yet", again: childrenAgain}
	}
	return nil
}
