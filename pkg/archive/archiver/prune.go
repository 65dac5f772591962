package archiver

import (
	"context"
	"fmt"
	"time"
)

// prune deletes a released run from the cluster when it has stayed there for its time, if it is the one that is in the archive and
// has not changed since it was looked at. Any doubt keeps the run: that the annotation says it is stored is not enough, the
// commit must be there. It returns how long the run has to stay.
func (a *Archiver) prune(ctx context.Context, r *run) (Result, error) {
	at := r.archivedAt()
	if a.Keep == nil || at.IsZero() || !r.DeletionTimestamp.IsZero() {
		return Result{Outcome: Archived}, nil
	}
	if left := at.Add(*a.Keep).Sub(a.Now()); left > 0 {
		return Result{Outcome: Archived, Again: min(left, maxSleep)}, nil
	}
	commit, err := a.committed(ctx, r)
	if err != nil || commit == nil {
		return Result{Outcome: Archived}, err
	}
	deleted, err := a.client.delete(ctx, r.reference(), r.UID, r.ResourceVersion)
	if err != nil {
		return Result{}, fmt.Errorf("delete: %w", err)
	}
	if !deleted {
		return Result{Outcome: Archived, Again: time.Second}, nil
	}
	return Result{Outcome: Pruned}, nil
}

// maxSleep bounds for how long a run is not looked at: clocks jump.
const maxSleep = time.Hour
