package manifest

import "slices"

// Outcomes of runs.
const (
	Succeeded = "Succeeded"
	Failed    = "Failed"
	Cancelled = "Cancelled"
)

// Outcome says how a run ended, by status and reason of its condition Succeeded: "" where it had not when it was deleted. Reasons are
// Tekton's (pkg/apis/pipeline/v1 and v1beta1).
func Outcome(status, reason string) string {
	switch {
	case status == "True":
		return Succeeded
	case status != "False":
		return ""
	case slices.Contains([]string{"TaskRunCancelled", "Cancelled", "CustomRunCancelled", "PipelineRunCancelled"}, reason):
		return Cancelled
	}
	return Failed
}
