package fit

import (
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// maxWords bounds the text taken from the annotation, in bytes.
const maxWords = 2000

// Rule "cancelled": pkg/oversize cancels PipelineRuns whose writes are too large to reach any
// admission, and leaves the reason in an annotation. It is appended to the PipelineRun's condition
// when Tekton ends it. (A TaskRun has spec.statusMessage for that.)
//
// Anybody who may annotate a run can add text this way, but nothing else.
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
