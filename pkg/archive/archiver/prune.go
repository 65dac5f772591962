package archiver

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// prune deletes a released run from the cluster when it has stayed there for its time, if it is the
// one that is in the archive and has not changed since it was looked at. Any doubt keeps the run:
// that the annotation says it is stored is not enough, the commit must be there. It returns how
// long the run has to stay.
//
// Tekton makes a run again that its PipelineRun has and the cluster has not. So a run that has an
// owner leaves with it, by garbage collection, and an owner leaves when all that it made is
// released.
func (a *Archiver) prune(ctx context.Context, r *run.Run) (Result, error) {
	if r.ArchivedAt().IsZero() || !r.DeletionTimestamp.IsZero() || r.Owned() {
		return Result{Outcome: Archived}, nil
	}
	asked := r.Stays()
	verdict := a.Ranking.Decide(a.Ranking.About(asked), asked, a.Now())
	switch {
	case verdict.Forever, verdict.Last:
		return Result{Outcome: Archived}, nil // who pushes it out of the last says so
	case verdict.Left > 0:
		return Result{Outcome: Archived, Again: min(verdict.Left, maxSleep)}, nil
	}
	commit, err := a.findCommit(ctx, r)
	if err != nil || commit == nil {
		return Result{Outcome: Archived}, err
	}
	held, err := a.heldBy(ctx, r, map[types.UID]bool{})
	if err != nil {
		return Result{}, fmt.Errorf("look at its children: %w", err)
	}
	if held != "" {
		a.Log.V(1).Info("A run stays in the cluster after its time, for a run that it made", "run", r.Reference().String(),
			"child", held)
		return Result{Outcome: Archived, Again: childrenAgain}, nil
	}
	deleted, err := a.Client.Delete(ctx, r.Reference(), r.UID, r.ResourceVersion)
	if err != nil {
		return Result{}, fmt.Errorf("delete: %w", err)
	}
	if !deleted {
		return Result{Outcome: Archived, Again: time.Second}, nil
	}
	a.Log.V(1).Info("A run that is archived has left the cluster", "run", r.Reference().String(), "policy",
		verdict.Policy.Name)
	return Result{Outcome: Pruned}, nil
}

// heldBy returns a run that a PipelineRun made, directly or by others that it made, and that the
// archive is not done with; empty if there is none. seen are runs that were looked at: a status may
// say that runs made each other.
func (a *Archiver) heldBy(ctx context.Context, r *run.Run, seen map[types.UID]bool) (string, error) {
	seen[r.UID] = true
	for _, ref := range r.Children() {
		child, err := a.snapshot(ctx, ref)
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: %w", ref, err)
		case child == nil || seen[child.UID] || child.OptedOut() || !run.IsOwnedBy(child, r):
			continue
		case !child.Released():
			return ref.String(), nil
		}
		if held, err := a.heldBy(ctx, child, seen); err != nil || held != "" {
			return held, err
		}
	}
	return "", nil
}

// maxSleep bounds for how long a run is not looked at: clocks jump.
const maxSleep = time.Hour
