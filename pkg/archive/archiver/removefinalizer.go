package archiver

import (
	"context"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// removeFinalizer annotates the run with its place in the archive and removes the finalizer, in one
// write: no crash leaves one without the other. A run that is being deleted disappears with it.
//
// The annotations of an object are limited to 256 KiB, and objects to what the API server and etcd
// take. The run is in the archive, so it may go without annotations: if there is no room for all,
// then with those that mark it as archived, and else with none. An unmarked run looks as if it was
// not archived. Each attempt then finds the commit and has nothing to write, so that nothing
// follows from it; archive.keep does not delete such a run, because it does not know since when it
// is there.
func (a *Archiver) removeFinalizer(ctx context.Context, r *run.Run, c *manifest.Commit) error {
	parent := r.Namespace + "/results/" + c.Run.Result
	mark := map[string]string{
		run.RecordAnnotation:   parent + "/records/" + c.Run.UID,
		run.ArchivedAnnotation: c.CommittedAt.Format(time.RFC3339),
	}
	all := map[string]string{
		run.ResultAnnotation:    parent,
		run.LogAnnotation:       parent + "/logs/" + run.LogID(c.Run.Result, c.Run.UID),
		run.EventListAnnotation: parent + "/records/" + run.EventListID(c.Run.Result, c.Run.UID),
		run.StoredAnnotation:    "true",
	}
	maps.Copy(all, mark)
	for _, annotations := range []map[string]string{all, mark} {
		err := a.Client.Change(ctx, r, map[string]any{"annotations": annotations, "finalizers": r.OtherFinalizers()})
		if !hasNoRoom(err) {
			return err
		}
	}
	if r.Protected() {
		a.Log.Info("A run leaves without a mark that it is archived, because it has no room for annotations",
			"run", r.Reference().String())
	}
	return a.Client.Unprotect(ctx, r)
}

// hasNoRoom reports whether a write failed because the object is too large, or its annotations are.
// Every invalid object counts: fewer annotations do no harm to it.
func hasNoRoom(err error) bool {
	return !isRefusal(err) && (apierrors.IsInvalid(err) || run.IsTooLarge(err))
}
