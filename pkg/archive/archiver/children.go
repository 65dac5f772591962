package archiver

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// children holds a PipelineRun back until the runs that it made are in the archive, or gone: whoever finds a PipelineRun there
// finds all of it. Of one that is being deleted only finished children count. What still runs goes on until the garbage
// collector deletes it, which waits for the PipelineRun; it is archived by itself.
func (a *Archiver) children(ctx context.Context, r *run) error {
	for _, c := range r.status.ChildReferences {
		if !slices.Contains(kinds, c.Kind) {
			continue
		}
		ref := Reference{Kind: c.Kind, Namespace: r.Namespace, Name: c.Name}
		child, err := a.snapshot(ctx, ref)
		if err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		switch {
		case child == nil || released(child) || child.optedOut() || !isControlledBy(child, r):
		case !child.finished() && !r.DeletionTimestamp.IsZero():
		default:
			return &wait{reason: waitChildren, detail: ref.String() + " is not in the archive yet", again: 30 * time.Second}
		}
	}
	return nil
}

// isControlledBy says whether one run was made by another: a later one may have the name of the one that was.
func isControlledBy(child, parent *run) bool {
	for _, owner := range child.OwnerReferences {
		if owner.UID == parent.UID {
			return true
		}
	}
	return false
}
