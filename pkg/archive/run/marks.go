package run

import (
	"slices"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

// ArchivedAnnotation has the time of the commit. A run with it and without the finalizer is
// archived, and free to leave the cluster.
const ArchivedAnnotation = result.ArchivedAnnotation

// A run created from the YAML of an archived one has that one's annotations, and Tekton copies a
// PipelineRun's annotations to the runs it creates. So these marks count only if the record's name
// ends with the run's own UID.

// marked reports whether the run's own annotations say that it is archived.
func (r *Run) marked() bool { return r.Annotations[ArchivedAnnotation] != "" && r.recordIsOwn() }

func (r *Run) recordIsOwn() bool {
	return strings.HasSuffix(r.Annotations[RecordAnnotation], "/records/"+string(r.UID))
}

// ForeignMarks returns the annotations that were copied from another archived run.
func (r *Run) ForeignMarks() []string {
	if r.recordIsOwn() {
		return nil
	}
	return result.Marks(r.Annotations)
}

// Finalizer keeps a run in the cluster until it is archived. The webhook adds it at creation
// (pkg/admission/protect).
const Finalizer = result.ArchiveKey

// archiveAnnotation with the value disabled opts a run out.
const (
	archiveAnnotation = result.ArchiveKey
	disabled          = result.Disabled
)

// ClassLabel on a run selects one of several archivers, for example to try another version. Runs of
// a PipelineRun inherit it. Runs without it belong to the archiver without a class.
const ClassLabel = "indelible.dev/archiver"

// Protected reports whether the run has the finalizer.
func (r *Run) Protected() bool { return slices.Contains(r.Finalizers, Finalizer) }

// OptedOut reports whether the run is opted out: neither protected nor archived.
func (r *Run) OptedOut() bool { return r.Annotations[archiveAnnotation] == disabled }

// OtherFinalizers returns all finalizers but ours.
func (r *Run) OtherFinalizers() []string {
	return slices.DeleteFunc(slices.Clone(r.Finalizers), func(f string) bool { return f == Finalizer })
}

// Archived reports whether the run is in the archive and its finalizer removed.
func (r *Run) Archived() bool { return r.marked() && !r.Protected() }

// ArchivedAt returns when an archived run was committed, zero if the annotation is not a time.
func (r *Run) ArchivedAt() time.Time {
	t, err := time.Parse(time.RFC3339, r.Annotations[ArchivedAnnotation])
	if err != nil {
		return time.Time{}
	}
	return t
}
