package archiver

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Prune deletes a released run from the cluster, if it is the one that is in the archive and has not changed since it was
// looked at. It says whether it did. Any doubt keeps the run: that the annotation says it is stored is not enough, the commit
// must be there.
func (a *Archiver) Prune(ctx context.Context, ref Reference) (bool, error) {
	r, err := a.snapshot(ctx, ref)
	if err != nil {
		return false, fmt.Errorf("prune %s: %w", ref, err)
	}
	if r == nil || !released(r) || !r.DeletionTimestamp.IsZero() {
		return false, nil
	}
	commit, err := a.committed(ctx, r)
	if err != nil || commit == nil {
		return false, err
	}
	background := metav1.DeletePropagationBackground
	err = a.objects.Resource(r.resource).Namespace(r.Namespace).Delete(ctx, r.Name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &r.UID, ResourceVersion: &r.ResourceVersion},
		PropagationPolicy: &background,
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return false, nil // somebody was faster, or has changed it: the next look decides
	}
	if err != nil {
		return false, fmt.Errorf("prune %s: %w", ref, err)
	}
	return true, nil
}
