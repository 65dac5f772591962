package archiver

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Finalizer keeps a run in the cluster until it is in the archive. The webhook adds it to a run that is created
// (pkg/admission/protect).
const Finalizer = result.ArchiveKey

// archiveAnnotation on a run, with the value disabled, leaves it alone.
const (
	archiveAnnotation = result.ArchiveKey
	disabled          = result.Disabled
)

// ClassLabel on a run names the archiver that is to archive it, where there are several: to try another version, say. Runs of a
// PipelineRun inherit it. Runs without it belong to the archiver without a class.
const ClassLabel = "indelible.dev/archiver"

func (r *run) protected() bool { return slices.Contains(r.Finalizers, Finalizer) }

// optedOut says whether the run's author wants it neither kept nor archived.
func (r *run) optedOut() bool { return r.Annotations[archiveAnnotation] == disabled }

// protect adds the finalizer where it is missing, and takes another run's marks away, as admission does if it is there. A run that
// is being deleted takes no finalizer any more: it goes on as it is, and is archived if the archiver is fast enough.
func (a *Archiver) protect(ctx context.Context, r *run) error {
	change, foreign := map[string]any{}, r.foreignMarks()
	if len(foreign) > 0 {
		change["annotations"] = without(foreign)
	}
	if !r.protected() && r.DeletionTimestamp.IsZero() {
		change["finalizers"] = append(slices.Clone(r.Finalizers), Finalizer)
	}
	if len(change) == 0 {
		return nil
	}
	return a.client.change(ctx, r, change)
}

// without is the part of a merge patch (RFC 7396) that removes fields.
func without(keys []string) map[string]any {
	fields := map[string]any{}
	for _, key := range keys {
		fields[key] = nil
	}
	return fields
}

// unprotect takes the finalizer away, without a word about an archive.
func (c *client) unprotect(ctx context.Context, r *run) error {
	if !r.protected() {
		return nil
	}
	return c.change(ctx, r, map[string]any{"finalizers": r.otherFinalizers()})
}

func (r *run) otherFinalizers() []string {
	return slices.DeleteFunc(slices.Clone(r.Finalizers), func(f string) bool { return f == Finalizer })
}

// change changes fields of a run's metadata, if the run is still the one that was read and nobody has changed it since: a list of
// finalizers is written as a whole, and must not bring back one that another has removed.
func (c *client) change(ctx context.Context, r *run, metadata map[string]any) error {
	metadata["uid"], metadata["resourceVersion"] = r.UID, r.ResourceVersion
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	return c.patch(ctx, r.reference(), body)
}
