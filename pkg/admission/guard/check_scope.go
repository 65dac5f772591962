package guard

import (
	admissionv1 "k8s.io/api/admission/v1"
)

// Rule "scope": the guard decides updates of taskruns/status in tekton.dev/v1, which is what its
// webhook is registered for. Anything else arrives by a misconfiguration and is denied to pods and
// other service accounts; for other users, only other operations on a TaskRun's status are denied.
// The trusted controller always passes.
//
// A v1beta1 write arrives converted (matchPolicy Equivalent), with its taskResults as results, but
// cannot be judged: Tekton's conversion loses status.artifacts, status.spanContext and the steps'
// terminationReason, also in the stored object that comes with the request. It is denied to all but
// the trusted controller.
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
	return forbidden(ruleScope, "taskruns/status is written by updates in tekton.dev/v1 only, not by this request "+
		"(operation, resource or version)")
}

// inScope reports whether the remaining rules apply to a request that checkScope lets pass. The
// trusted controller's results are put back whatever version it writes, as long as the webhook sees
// it in v1.
func inScope(req *admissionv1.AdmissionRequest) bool {
	return req.Resource.Group == "tekton.dev" && req.Resource.Version == "v1" && req.Resource.Resource == "taskruns" &&
		req.SubResource == "status" && req.Operation == admissionv1.Update
}
