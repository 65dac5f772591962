package archiver

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// archivedAnnotation says when a run was committed. With it the run is released: nothing of the archiver's holds it.
const archivedAnnotation = "indelible.dev/archived"

func released(r *run) bool {
	return r.Annotations[archivedAnnotation] != "" && !slices.Contains(r.Finalizers, Finalizer)
}

// release says on the run where it is in the archive, and takes the finalizer away, in one write: no crash leaves the one without
// the other. A run that is being deleted is gone with it.
func (a *Archiver) release(ctx context.Context, r *run, c *manifest.Commit) error {
	parent := r.Namespace + "/results/" + c.Run.Result
	err := a.patch(ctx, r, map[string]any{
		"annotations": map[string]string{
			resultAnnotation:   parent,
			recordAnnotation:   parent + "/records/" + c.Run.UID,
			logAnnotation:      parent + "/logs/" + c.Run.UID,
			storedAnnotation:   "true",
			archivedAnnotation: c.CommittedAt.Format(time.RFC3339),
		},
		"finalizers": slices.DeleteFunc(slices.Clone(r.Finalizers), func(f string) bool { return f == Finalizer }),
	})
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}
