package inject

import (
	"net/http"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// decision is everything decided about a Pod.
type decision struct {
	// pod is nil if the request has no readable Pod.
	pod *corev1.Pod
	// publish is set if the Pod is injected, skipped if not.
	publish *plan
	skipped *skip
	// scripts is set if the scripts must be split.
	scripts *scriptSplit
	// refused is set if the Pod must not be created; nothing else matters then.
	refused *refusal
}

// refusal is the decision that a Pod must not be created, because it would certainly fail.
type refusal struct {
	reason reason
	// message names the field at fault, the limit and the way out, never a value. It is shown in
	// the TaskRun's condition.
	message string
}

// respond builds the answer to a request.
func respond(d decision) admission.Response {
	if d.refused != nil {
		return refuse(d.refused)
	}
	response := admission.Allowed("")
	if ops := d.patch(); len(ops) > 0 {
		response = admission.Patched("", ops...)
	}
	if d.skipped != nil && d.skipped.warn {
		response = response.WithWarnings("indelible: results of this Pod keep Tekton's own size limit: " +
			d.skipped.because)
	}
	return response
}

// refuse answers 422, reason Invalid, on which Tekton fails the TaskRun for good. It treats some
// 403 and 409 as temporary depending on the message, which contains user-chosen names
// (handlePodCreationError in pkg/reconciler/taskrun/taskrun.go of Tekton Pipelines 1.9 and 1.15).
func refuse(r *refusal) admission.Response {
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusUnprocessableEntity,
		Reason:  metav1.StatusReasonInvalid,
		Message: r.message,
	}}}
}

// patch returns the decision as JSON patch operations (RFC 6902) on its Pod.
func (d decision) patch() []jsonpatch.JsonPatchOperation {
	if d.pod == nil || d.skipped.is(reasonNotTaskRun) {
		return nil
	}
	var ops []jsonpatch.JsonPatchOperation
	if d.scripts != nil {
		// Must precede the insertion of an init container before this one.
		ops = append(ops, replace(d.scripts.args, "spec", "initContainers", d.scripts.container, "args"))
	}
	if d.publish != nil {
		ops = append(ops, d.publish.patch(d.pod)...)
	}
	return append(ops, annotate(d.pod, d.marks())...)
}
