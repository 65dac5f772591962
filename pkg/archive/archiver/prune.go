package archiver

import (
	"context"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// prune deletes an archived run from the cluster once its time there is over, if it is the one that
// is in the archive and has not changed since it was read. In any doubt the run stays: the
// annotation alone does not count, the commit must be readable. The result says when to look again.
//
// Tekton recreates a run that is missing in the cluster but expected by its PipelineRun. So a run
// that has an owner is never deleted here: the garbage collector deletes it with its owner, which
// is deleted once all runs below it are archived, whoever created them.
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
	waitsFor, err := a.unarchivedBelow(ctx, r)
	if err != nil {
		return Result{}, fmt.Errorf("look at the runs below it: %w", err)
	}
	if waitsFor != "" {
		a.Log.V(1).Info("A run stays in the cluster because a run below it is not archived",
			"run", r.Reference().String(), "below", waitsFor)
		return Result{Outcome: Archived, Again: childrenAgain}, nil
	}
	commit, err := a.findCommit(ctx, r.ID())
	if err != nil || commit == nil {
		return Result{Outcome: Archived}, err
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

// unarchivedBelow returns a run that another one owns, directly or through others, and that is not
// in the archive and released; empty if there is none. The garbage collector would delete it. In
// doubt it says so: while the watches do not know all runs, and if there are more than it reads.
func (a *Archiver) unarchivedBelow(ctx context.Context, r *run.Run) (string, error) {
	if !a.Families.UpToDate() {
		return "not known yet", nil
	}
	below := a.Families.Below(r.Namespace, r.UID, childReads)
	for _, u := range below {
		// one that had no room for the mark has its commit
		if u.Protected || !u.Finished {
			return u.String(), nil
		}
		commit, err := a.findCommit(ctx, u.Run)
		if err != nil {
			return "", fmt.Errorf("%s: %w", u, err)
		}
		if commit == nil {
			return u.String(), nil
		}
		a.Families.NoteArchived(u)
	}
	if len(below) == childReads {
		return "not all are known to be", nil
	}
	return "", nil
}

// maxSleep bounds how long a run is not looked at, in case clocks jump.
const maxSleep = time.Hour
