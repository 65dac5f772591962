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

// protect adds the finalizer where it is missing. A run that is being deleted takes none any more: it goes on as it is, and
// is archived if the archiver is fast enough.
func (a *Archiver) protect(ctx context.Context, r *run) error {
	if r.protected() || !r.DeletionTimestamp.IsZero() {
		return nil
	}
	return a.client.change(ctx, r, map[string]any{"finalizers": append(slices.Clone(r.Finalizers), Finalizer)})
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
