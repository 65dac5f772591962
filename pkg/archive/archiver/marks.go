package archiver

import (
	"slices"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

// archivedAnnotation says when a run was committed. With it, and without the finalizer, the run is released: nothing of the
// archiver's holds it.
const archivedAnnotation = result.ArchivedAnnotation

// A run made from the YAML of an archived one comes with that one's marks, and Tekton copies a PipelineRun's annotations to the runs
// that it makes. So marks count only on the run that they name: by the UID at the end of the record's name.

// marked says whether the run says of itself that it is in the archive.
func (r *run) marked() bool { return r.Annotations[archivedAnnotation] != "" && r.recordIsOwn() }

func (r *run) recordIsOwn() bool {
	return strings.HasSuffix(r.Annotations[recordAnnotation], "/records/"+string(r.UID))
}

// foreignMarks are the annotations that say of another run where it is in the archive, if there are any.
func (r *run) foreignMarks() []string {
	if r.recordIsOwn() {
		return nil
	}
	return result.Marks(r.Annotations)
}

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

func (r *run) otherFinalizers() []string {
	return slices.DeleteFunc(slices.Clone(r.Finalizers), func(f string) bool { return f == Finalizer })
}

func (r *run) released() bool { return r.marked() && !r.protected() }

// archivedAt is when a released run was committed, zero if the annotation was written by somebody else.
func (r *run) archivedAt() time.Time {
	t, err := time.Parse(time.RFC3339, r.Annotations[archivedAnnotation])
	if err != nil {
		return time.Time{}
	}
	return t
}
