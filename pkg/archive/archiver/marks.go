package archiver

import (
	"strings"

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
