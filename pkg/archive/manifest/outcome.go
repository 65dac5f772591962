package manifest

import "slices"

// Outcomes of runs.
const (
	Succeeded = "Succeeded"
	Failed    = "Failed"
	Cancelled = "Cancelled"
)

// Outcome returns how a run ended, from status and reason of its condition Succeeded. It is "" for
// a run that was deleted before it was finished. Reasons are Tekton's (pkg/apis/pipeline/v1 and
// v1beta1).
func Outcome(status, reason string) string {
	switch {
	case status == "True":
		return Succeeded
	case status != "False":
		return ""
	case slices.Contains([]string{"TaskRunCancelled", "Cancelled", "CustomRunCancelled", "PipelineRunCancelled"},
		reason):
		return Cancelled
	}
	return Failed
}
