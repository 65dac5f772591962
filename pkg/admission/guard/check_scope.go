package guard

import (
	admissionv1 "k8s.io/api/admission/v1"
)

// Rule "scope": the guard decides updates of taskruns/status in tekton.dev/v1, which is what its webhook is
// registered for. Whatever else reaches it was registered by mistake, and is denied to pods and other service accounts.
// The status of a TaskRun by another operation is denied to people too. The trusted controller and unrelated requests
// of people pass.
//
// A write made in v1beta1 arrives converted (matchPolicy Equivalent), with its taskResults as results, but it cannot be
// judged: Tekton's conversion loses status.artifacts, status.spanContext and steps' terminationReason, with each write,
// and the stored object that comes with it has lost them as well. It is denied to all but the trusted controller.
func checkScope(r requester, req *admissionv1.AdmissionRequest) *denial {
	status := req.Resource.Group == "tekton.dev" && req.Resource.Resource == "taskruns" && req.SubResource == "status"
	v1 := req.Resource.Version == "v1" && (req.RequestResource == nil || req.RequestResource.Version == "v1")
	switch {
	case status && v1 && req.Operation == admissionv1.Update:
		return nil
	case r.kind == requesterController:
		return nil
	case r.kind == requesterOther && !status:
		return nil
	}
	return forbidden(ruleScope, "taskruns/status is written by updates in tekton.dev/v1 only, not by this request (operation, resource or version)")
}

// inScope reports whether the rules beyond the scope apply to a request that checkScope lets pass: the trusted
// controller's results are put back in whatever version it writes, as long as the webhook sees it in v1.
func inScope(req *admissionv1.AdmissionRequest) bool {
	return req.Resource.Group == "tekton.dev" && req.Resource.Version == "v1" && req.Resource.Resource == "taskruns" &&
		req.SubResource == "status" && req.Operation == admissionv1.Update
}
