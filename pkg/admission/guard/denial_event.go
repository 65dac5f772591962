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

// NewReport returns the handler of /report. It is called right before the guard for writes whose
// denial would be worth an event, and always allows.
//
// The guard cannot send the event itself. An API server proves its identity by a key in the
// webhook's path, and quotes that path to the requester if a webhook with failure policy Fail
// cannot be reached, which a requester can provoke with a short timeout. With failure policy
// Ignore, nobody is told the path.
func NewReport(o Options) admission.Handler { return &reporter{guard{Options: o.withDefaults()}} }

type reporter struct{ guard }

// Handle judges the write as the guard will.
func (h *reporter) Handle(ctx context.Context, req admission.Request) admission.Response {
	if h.Denials != nil && h.Authenticated(ctx) && !isDryRun(&req.AdmissionRequest) {
		settings := h.Settings()
		r := requesterOf(req.UserInfo, settings.Controllers)
		h.report(&req.AdmissionRequest, r, h.judge(ctx, settings, r, &req.AdmissionRequest))
	}
	return allowed(nil, nil)
}

// report sends an event about a denied write to the TaskRun it was meant for: who tried, which rule
// denied it, and what is wrong with it, without any value. Not reported are
//
//   - dry runs;
//   - denials that ask for a retry: a pod that is faster than Tekton's controller is no attack;
//   - denials of the own pod's publisher. They fail its TaskRun, and the event ResultsNotPublished
//     has the same text: users should see one reason, not two. Other writes with the own pod's
//     token are reported. The publisher is recognized by its field manager, which a step may claim
//     as well: that step goes unreported, but is in the metrics, the log and the audit log.
func (h *reporter) report(req *admissionv1.AdmissionRequest, r requester, v verdict) {
	if v.denial == nil || v.denial.mayPassLater() || v.own && isPublisher(req) {
		return
	}
	h.Denials.Event(referenceOf(req), corev1.EventTypeWarning, reasonWriteDenied, denialText(r, v.denial))
}

// mayPassLater reports whether the requester is told to retry.
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

// denialText names the rule and the requester. User and pod names may contain anything.
func denialText(r requester, d *denial) string {
	who := fmt.Sprintf("user %.200q", r.username)
	if r.podName != "" {
		who += fmt.Sprintf(", Pod %.253q", r.podName)
	}
	return printable(fmt.Sprintf("denied a write to the status by %s (rule %q): %s", who, d.rule, d.message))
}

// referenceOf returns the reference for events about a request's TaskRun, with the UID, by which
// `kubectl describe` finds them.
func referenceOf(req *admissionv1.AdmissionRequest) *corev1.ObjectReference {
	stored, err := decodeTaskRun(req.OldObject.Raw)
	if err != nil || stored.name == "" {
		stored = taskRun{namespace: req.Namespace, name: req.Name}
	}
	return reference(stored)
}
