package archiver

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// prune deletes an archived run from the cluster once its time there is over, if it is the one that
// is in the archive and has not changed since it was read. In any doubt the run stays: the
// annotation alone does not count, the commit must be readable. The result says when to look again.
//
// Tekton recreates a run that is missing in the cluster but expected by its PipelineRun. So a run
// that has an owner is never deleted here: the garbage collector deletes it with its owner, which
// is deleted once all runs it created are archived.
func (a *Archiver) prune(ctx context.Context, r *run.Run) (Result, error) {
	if r.ArchivedAt().IsZero() || !r.DeletionTimestamp.IsZero() || r.Owned() {
		return Result{Outcome: Archived}, nil
	}
	asked := r.Stays()
	verdict := a.Ranking.Decide(a.Ranking.About(asked), asked, a.Now())
	switch {
	case verdict.Forever, verdict.Last:
		return Result{Outcome: Archived}, nil // the run that pushes it out of the last triggers it
	case verdict.Left > 0:
		return Result{Outcome: Archived, Again: min(verdict.Left, maxSleep)}, nil
	}
	commit, err := a.findCommit(ctx, r)
	if err != nil || commit == nil {
		return Result{Outcome: Archived}, err
	}
	waitsFor, err := a.unarchivedChild(ctx, r, map[types.UID]bool{})
	if err != nil {
		return Result{}, fmt.Errorf("look at its children: %w", err)
	}
	if waitsFor != "" {
		a.Log.V(1).Info("A run stays in the cluster because a run it created is not archived",
			"run", r.Reference().String(), "child", waitsFor)
		return Result{Outcome: Archived, Again: childrenAgain}, nil
	}
	deleted, err := a.Client.Delete(ctx, r.Reference(), r.UID, r.ResourceVersion)
	if err != nil {
		return Result{}, fmt.Errorf("delete: %w", err)
	}
	if !deleted {
		return Result{Outcome: Archived, Again: time.Second}, nil
	}
	a.Log.V(1).Info("An archived run was deleted from the cluster", "run", r.Reference().String(),
		"policy", verdict.Policy.Name)
	return Result{Outcome: Pruned}, nil
}

// unarchivedChild returns a run that a PipelineRun created, directly or through others, and that is
// not archived; empty if there is none. seen has the runs already visited: statuses may form a
// cycle.
func (a *Archiver) unarchivedChild(ctx context.Context, r *run.Run, seen map[types.UID]bool) (string, error) {
	seen[r.UID] = true
	for _, ref := range r.Children() {
		child, err := a.snapshot(ctx, ref)
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: %w", ref, err)
		case child == nil || seen[child.UID] || child.OptedOut() || !run.IsOwnedBy(child, r):
			continue
		}
		archived, err := a.isArchived(ctx, child)
		if err != nil || !archived {
			return ref.String(), err
		}
		if waitsFor, err := a.unarchivedChild(ctx, child, seen); err != nil || waitsFor != "" {
			return waitsFor, err
		}
	}
	return "", nil
}

// isArchived reports whether a run is in the archive and released. One that had no room for the
// mark has its commit.
func (a *Archiver) isArchived(ctx context.Context, r *run.Run) (bool, error) {
	if r.Archived() || r.Protected() {
		return r.Archived(), nil
	}
	commit, err := a.findCommit(ctx, r)
	return commit != nil, err
}

// maxSleep bounds how long a run is not looked at, in case clocks jump.
const maxSleep = time.Hour
