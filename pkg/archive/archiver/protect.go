package archiver

import (
	"context"
	"slices"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// protect adds the finalizer if it is missing, and removes annotations copied from another archived
// run, as the webhook does at creation. An object that is being deleted accepts no finalizer: such
// a run is archived only if the archiver is faster than its deletion.
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

// without returns the part of a merge patch (RFC 7396) that removes fields.
func without(keys []string) map[string]any {
	fields := map[string]any{}
	for _, key := range keys {
		fields[key] = nil
	}
	return fields
}
