package archiver

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Finalizer keeps a run in the cluster until it is in the archive.
const Finalizer = "indelible.dev/archive"

// protect adds the finalizer where it is missing. A run that is being deleted takes none any more: it goes on as it is, and
// is archived if the archiver is fast enough.
func (a *Archiver) protect(ctx context.Context, r *run) error {
	if slices.Contains(r.Finalizers, Finalizer) || !r.DeletionTimestamp.IsZero() {
		return nil
	}
	err := a.patch(ctx, r, map[string]any{"finalizers": append(slices.Clone(r.Finalizers), Finalizer)})
	if err != nil {
		return fmt.Errorf("protect: %w", err)
	}
	return nil
}

// patch changes fields of a run's metadata, if the run is still the one that was read and nobody has changed it since: a list of
// finalizers is written as a whole, and must not bring back one that another has removed. A run that is gone by now needs
// no change.
func (a *Archiver) patch(ctx context.Context, r *run, metadata map[string]any) error {
	metadata["uid"], metadata["resourceVersion"] = r.UID, r.ResourceVersion
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	_, err = a.objects.Resource(r.resource).Namespace(r.Namespace).Patch(ctx, r.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "indelible-archiver"})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
