package archiver

import (
	"context"
	"slices"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// protect adds the finalizer where it is missing, and takes another run's marks away, as admission
// does if it is there. A run that is being deleted takes no finalizer any more: it goes on as it
// is, and is archived if the archiver is fast enough.
func (a *Archiver) protect(ctx context.Context, r *run.Run) error {
	change, foreign := map[string]any{}, r.ForeignMarks()
	if len(foreign) > 0 {
		change["annotations"] = without(foreign)
	}
	if !r.Protected() && r.DeletionTimestamp.IsZero() {
		change["finalizers"] = append(slices.Clone(r.Finalizers), run.Finalizer)
	}
	if len(change) == 0 {
		return nil
	}
	return a.Client.Change(ctx, r, change)
}

// without is the part of a merge patch (RFC 7396) that removes fields.
func without(keys []string) map[string]any {
	fields := map[string]any{}
	for _, key := range keys {
		fields[key] = nil
	}
	return fields
}
