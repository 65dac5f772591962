package run

import (
	"slices"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

// ArchivedAnnotation says when a run was committed. With it, and without the finalizer, the run is
// released: nothing of the archiver's holds it.
const ArchivedAnnotation = result.ArchivedAnnotation

// A run made from the YAML of an archived one comes with that one's marks, and Tekton copies a
// PipelineRun's annotations to the runs that it makes. So marks count only on the run that they
// name: by the UID at the end of the record's name.

// marked says whether the run says of itself that it is in the archive.
func (r *Run) marked() bool { return r.Annotations[ArchivedAnnotation] != "" && r.recordIsOwn() }

func (r *Run) recordIsOwn() bool {
	return strings.HasSuffix(r.Annotations[RecordAnnotation], "/records/"+string(r.UID))
}

// ForeignMarks are the annotations that say of another run where it is in the archive, if there are
// any.
func (r *Run) ForeignMarks() []string {
	if r.recordIsOwn() {
		return nil
	}
	return result.Marks(r.Annotations)
}

// Finalizer keeps a run in the cluster until it is in the archive. The webhook adds it to a run
// that is created (pkg/admission/protect).
const Finalizer = result.ArchiveKey

// archiveAnnotation on a run, with the value disabled, leaves it alone.
const (
	archiveAnnotation = result.ArchiveKey
	disabled          = result.Disabled
)

// ClassLabel on a run names the archiver that is to archive it, where there are several: to try
// another version, say. Runs of a PipelineRun inherit it. Runs without it belong to the archiver
// without a class.
const ClassLabel = "indelible.dev/archiver"

// Protected says whether the finalizer keeps the run in the cluster.
func (r *Run) Protected() bool { return slices.Contains(r.Finalizers, Finalizer) }

// OptedOut says whether the run's author wants it neither kept nor archived.
func (r *Run) OptedOut() bool { return r.Annotations[archiveAnnotation] == disabled }

// OtherFinalizers are all but ours.
func (r *Run) OtherFinalizers() []string {
	return slices.DeleteFunc(slices.Clone(r.Finalizers), func(f string) bool { return f == Finalizer })
}

// Released says whether the run is in the archive, and nothing of the archiver's holds it.
func (r *Run) Archived() bool { return r.marked() && !r.Protected() }

// ArchivedAt is when a released run was committed, zero if the annotation was written by somebody
// else.
func (r *Run) ArchivedAt() time.Time {
	t, err := time.Parse(time.RFC3339, r.Annotations[ArchivedAnnotation])
	if err != nil {
		return time.Time{}
	}
	return t
}
