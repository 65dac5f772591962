package fit

import (
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// maxWords bounds what is taken from the annotation, in bytes.
const maxWords = 2000

// Rule "cancelled": a PipelineRun that pkg/oversize has cancelled, because no admission ever sees what is too large in it, has the reason in
// an annotation. It is added to the condition of the PipelineRun when Tekton ends it. A TaskRun has spec.statusMessage for that.
//
// Whoever may annotate a run can put words of his own there, and nothing else.
func (o *object) explainCancellation() {
	i := o.succeeded()
	text := o.text("metadata", "annotations", result.TooLargeAnnotation)
	if i < 0 || text == "" || len(text) > maxWords || o.text("status", "conditions", i, "status") != "False" {
		return
	}
	p := path{"status", "conditions", i, "message"}
	if message := o.text(p...); !strings.Contains(message, text) {
		o.set(joined(message, text), p)
	}
}
