package guard

import (
	"net/http"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// auditDeniedBy is the key of a denial's audit annotation: guard.indelible.dev/denied-by in the API
// server's audit log. Its value is the rule.
const auditDeniedBy = "denied-by"

// respond builds the answer for a verdict, and logs a denial.
func respond(log logr.Logger, req *admissionv1.AdmissionRequest, r requester, v verdict) admission.Response {
	if v.denial == nil {
		response := allowed(v.patch, v.warnings)
		if v.own {
			response.AuditAnnotations = evidence(req, r, v)
		}
		return response
	}
	logDenial(log, req, r, v.denial)
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{
		AuditAnnotations: map[string]string{auditDeniedBy: v.denial.rule},
		Result: &metav1.Status{
			Status:  metav1.StatusFailure,
			Code:    v.denial.code,
			Reason:  v.denial.reason,
			Message: v.denial.message,
		},
	}}
}

// allowed builds an answer that allows the write, with a patch if there are operations.
func allowed(patch []operation, warnings []string) admission.Response {
	response := admissionv1.AdmissionResponse{
		Allowed:  true,
		Result:   &metav1.Status{Code: http.StatusOK},
		Warnings: warnings,
	}
	if len(patch) > 0 {
		patchType := admissionv1.PatchTypeJSONPatch
		response.Patch, response.PatchType = encodePatch(patch), &patchType
	}
	return admission.Response{AdmissionResponse: response}
}

// logDenial writes one line per denial, without any value: denials name fields only.
func logDenial(log logr.Logger, req *admissionv1.AdmissionRequest, r requester, d *denial) {
	log.Info("Denied a status write",
		"namespace", req.Namespace, "taskrun", req.Name, "rule", d.rule, "reason", d.message, "code", d.code,
		"writer", r.kind, "user", r.username, "pod", r.podName, "dryRun", isDryRun(req))
}

func isDryRun(req *admissionv1.AdmissionRequest) bool { return req.DryRun != nil && *req.DryRun }
