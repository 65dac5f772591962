package inject

import (
	"gomodules.xyz/jsonpatch/v2"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// leaveAlone lets the Pod pass as it is.
func leaveAlone(s *skip) admission.Response {
	response := admission.Allowed("")
	if s.warning != "" {
		response = response.WithWarnings(s.warning)
	}
	return response
}

// rewrite lets the Pod pass, changed.
func rewrite(ops []jsonpatch.JsonPatchOperation) admission.Response {
	return admission.Patched("", ops...)
}

// warning is the text of a skip that somebody should know of.
func warning(because string) string {
	return "indelible: results of this Pod keep Tekton's own size limit: " + because
}
