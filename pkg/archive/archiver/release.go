package archiver

import (
	"context"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// release says on the run where it is in the archive, and takes the finalizer away, in one write:
// no crash leaves the one without the other. A run that is being deleted is gone with it.
func (a *Archiver) release(ctx context.Context, r *run.Run, c *manifest.Commit) error {
	parent := r.Namespace + "/results/" + c.Run.Result
	return a.Client.Change(ctx, r, map[string]any{
		"annotations": map[string]string{
			run.ResultAnnotation:    parent,
			run.RecordAnnotation:    parent + "/records/" + c.Run.UID,
			run.LogAnnotation:       parent + "/logs/" + run.LogID(c.Run.Result, c.Run.UID),
			run.EventListAnnotation: parent + "/records/" + run.EventListID(c.Run.Result, c.Run.UID),
			run.StoredAnnotation:    "true",
			run.ArchivedAnnotation:  c.CommittedAt.Format(time.RFC3339),
		},
		"finalizers": r.OtherFinalizers(),
	})
}
