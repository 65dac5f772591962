package guard

import (
	admissionv1 "k8s.io/api/admission/v1"
)

// Rule "scope": the guard decides updates of taskruns/status in tekton.dev/v1, which is what its webhook is
// registered for (updates by v1beta1 arrive converted, by matchPolicy Equivalent). Whatever else reaches it was
// registered by mistake, and is denied to pods and other service accounts. The status of a TaskRun in another
// version, or by another operation, is denied to people too: its results have another name there (v1beta1:
// taskResults), which no rule here would see. The trusted controller and unrelated requests of people pass.
func checkScope(w writer, req *admissionv1.AdmissionRequest) *denial {
	status := req.Resource.Group == "tekton.dev" && req.Resource.Resource == "taskruns" && req.SubResource == "status"
	switch {
	case status && req.Resource.Version == "v1" && req.Operation == admissionv1.Update:
		return nil
	case w.kind == writerController:
		return nil
	case w.kind == writerOther && !status:
		return nil
	}
	return forbidden(ruleScope, "the guard decides updates of taskruns/status in tekton.dev/v1 only, not this request (operation, resource or version)")
}

// inScope reports whether the rules beyond the scope apply to a request that checkScope lets pass.
func inScope(req *admissionv1.AdmissionRequest) bool {
	return checkScope(writer{kind: writerServiceAccount}, req) == nil
}
