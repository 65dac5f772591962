package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/result"
)

// reasonWriteDenied is the reason of the event about a denied write.
const reasonWriteDenied = "ResultsWriteDenied"

// NewReport returns the handler of /report, which is asked about the writes that would be worth an event if the
// guard denied them, right before it, and answers nothing.
//
// It is not the guard itself that sends the event: an API server can prove who it is by a key in the webhook's
// path, but quotes that path to whoever's write failed because a webhook with failure policy Fail was not
// reached, which a writer can bring about by a short timeout. Where it is Ignore, nobody is told.
func NewReport(o Options) admission.Handler { return &reporter{guard{Options: o.withDefaults()}} }

type reporter struct{ guard }

// Handle judges as the guard will.
func (h *reporter) Handle(ctx context.Context, req admission.Request) admission.Response {
	if h.Denials != nil && h.Authenticated(ctx) && !isDryRun(&req.AdmissionRequest) {
		settings := h.Settings()
		r := requesterOf(req.UserInfo, settings.Controllers)
		h.report(&req.AdmissionRequest, r, h.judge(ctx, settings, r, &req.AdmissionRequest))
	}
	return allowed(nil, nil)
}

// report sends an event about a denied write to the TaskRun it was meant for: who tried, which rule denied it, and
// what is wrong with it, without any value. Not reported are
//
//   - dry runs;
//   - denials that ask to try again: a pod that is faster than Tekton's controller is no attack;
//   - what the own pod's publisher is denied. Its TaskRun fails because of that, and the event ResultsNotPublished says
//     so with the same words: a user must find one reason and not two. Whatever else writes with the own pod's token
//     is reported. The publisher is known by its field manager, which a step may claim as well: that step is then
//     missed here, and is still in the metrics, the log and the audit log.
func (h *reporter) report(req *admissionv1.AdmissionRequest, r requester, v verdict) {
	if v.denial == nil || v.denial.mayPassLater() || v.own && isPublisher(req) {
		return
	}
	h.Denials.Event(referenceOf(req), corev1.EventTypeWarning, reasonWriteDenied, denialText(r, v.denial))
}

// mayPassLater reports whether the writer is told to try again.
func (d *denial) mayPassLater() bool {
	return d.code == http.StatusConflict || d.code == http.StatusServiceUnavailable
}

// isPublisher reports whether a write has the publisher's field manager.
func isPublisher(req *admissionv1.AdmissionRequest) bool {
	var options struct {
		FieldManager string `json:"fieldManager"`
	}
	return json.Unmarshal(req.Options.Raw, &options) == nil && options.FieldManager == result.FieldManager
}

// denialText names the rule and the writer. User names and pods' names may be anything.
func denialText(r requester, d *denial) string {
	who := fmt.Sprintf("user %.200q", r.username)
	if r.podName != "" {
		who += fmt.Sprintf(", Pod %.253q", r.podName)
	}
	return printable(fmt.Sprintf("denied a write to the status by %s (rule %q): %s", who, d.rule, d.message))
}

// referenceOf points an event at the TaskRun of a request, with the UID by which `kubectl describe` finds it.
func referenceOf(req *admissionv1.AdmissionRequest) *corev1.ObjectReference {
	stored, err := decodeTaskRun(req.OldObject.Raw)
	if err != nil || stored.name == "" {
		stored = taskRun{namespace: req.Namespace, name: req.Name}
	}
	return reference(stored)
}
