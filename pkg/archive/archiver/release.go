package archiver

import (
	"context"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// release says on the run where it is in the archive, and takes the finalizer away, in one write: no crash leaves the one without
// the other. A run that is being deleted is gone with it.
func (a *Archiver) release(ctx context.Context, r *run, c *manifest.Commit) error {
	parent := r.Namespace + "/results/" + c.Run.Result
	return a.client.change(ctx, r, map[string]any{
		"annotations": map[string]string{
			resultAnnotation:    parent,
			recordAnnotation:    parent + "/records/" + c.Run.UID,
			logAnnotation:       parent + "/logs/" + logID(c.Run.Result, c.Run.UID),
			eventListAnnotation: parent + "/records/" + eventListID(c.Run.Result, c.Run.UID),
			storedAnnotation:    "true",
			archivedAnnotation:  c.CommittedAt.Format(time.RFC3339),
		},
		"finalizers": r.otherFinalizers(),
	})
}
