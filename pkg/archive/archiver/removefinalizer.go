package archiver

import (
	"context"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// removeFinalizer annotates the run with its place in the archive and removes the finalizer, in one
// write: no crash leaves one without the other. A run that is being deleted disappears with it.
func (a *Archiver) removeFinalizer(ctx context.Context, r *run.Run, c *manifest.Commit) error {
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
