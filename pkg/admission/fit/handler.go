package fit

import (
	"context"
	"net/http"
	"slices"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Settings may change while the handler runs.
type Settings struct {
	// Controllers are the user names of Tekton's controller, whose writes are made to fit.
	Controllers []string
	Limits      result.Limits
}

// EventSink records an event about an object. record.EventRecorder of client-go is one. It must not
// block.
type EventSink interface {
	Event(object runtime.Object, eventtype, reason, message string)
}

// Options configure the handler.
type Options struct {
	// Settings is called once per request.
	Settings func() Settings
	// Events may be nil. They are sent only for requests of API servers, as reported by
	// Authenticated; nil means none.
	Events        EventSink
	Authenticated func(context.Context) bool
	// Metrics may be nil.
	Metrics *Metrics
	Log     logr.Logger
}

// New returns the handler of /fit. It denies nothing except the creation of runs that are too
// large.
func New(o Options) admission.Handler {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Authenticated == nil {
		o.Authenticated = func(context.Context) bool { return false }
	}
	return &handler{o}
}

type handler struct{ Options }

// verdict is the decision about a write.
type verdict struct {
	outcome outcome
	// refusal is why a run is not created; event the text about a run that was ended.
	refusal, event, reason string
}

func (h *handler) Handle(ctx context.Context, req admission.Request) admission.Response {
	log := h.Log.WithValues("resource", req.Resource.Resource, "namespace", req.Namespace, "name", req.Name)
	settings := h.Settings()
	if !inScope(&req.AdmissionRequest, settings.Controllers) {
		return admission.Allowed("")
	}
	o, err := decode(req.Object.Raw)
	if err != nil {
		log.Info("Could not read a run; it is allowed unchanged", "reason", err.Error())
		return admission.Allowed("")
	}
	before := o.size
	v := decide(&req.AdmissionRequest, o, settings.Limits)
	dryRun := req.DryRun != nil && *req.DryRun
	if !dryRun {
		h.Metrics.count(v.outcome)
	}
	if v.outcome != unchanged {
		log.Info("Saw a large run", "outcome", v.outcome, "bytes", before, "now", o.size, "reason", v.refusal+v.event,
			"dryRun", dryRun)
	}
	if v.event != "" && h.Events != nil && !dryRun && h.Authenticated(ctx) {
		h.Events.Event(objectReference(o), corev1.EventTypeWarning, v.reason, v.event)
	}
	switch {
	case v.refusal != "":
		return refused(v.refusal)
	case len(o.patch) > 0:
		return admission.Patched("", o.patch...)
	}
	return admission.Allowed("")
}

// inScope: creations by anybody, and status writes by the trusted controller.
func inScope(req *admissionv1.AdmissionRequest, controllers []string) bool {
	if req.Resource.Group != "tekton.dev" ||
		!slices.Contains([]string{"taskruns", "pipelineruns", "customruns"}, req.Resource.Resource) {
		return false
	}
	if req.Operation == admissionv1.Create {
		return req.SubResource == ""
	}
	return req.Operation == admissionv1.Update && req.SubResource == "status" &&
		slices.Contains(controllers, req.UserInfo.Username)
}

// decide applies the rules, lossless ones first, and stops when the run fits.
func decide(req *admissionv1.AdmissionRequest, o *object, limits result.Limits) verdict {
	if req.Operation == admissionv1.Create {
		if refusal := o.refusal(req.Kind.Kind); refusal != "" {
			return verdict{outcome: refusedCreation, refusal: refusal}
		}
		return verdict{outcome: unchanged}
	}
	v := verdict{outcome: unchanged}
	switch req.Resource.Resource {
	case "taskruns":
		v.reason = "PodCreationFailed"
		v.event = o.explainPodCreation(req.OldObject.Raw)
		o.fitTaskRun(limits)
	case "pipelineruns":
		v.reason = ReasonResultsTooLarge
		v.event = o.fitPipelineRun(limits, req.OldObject.Raw)
	}
	switch {
	case v.event != "":
		v.outcome = ended
	case len(o.patch) > 0:
		v.outcome = shortened
	}
	return v
}

// fitTaskRun makes a TaskRun small enough to be stored and, while its attempt is alive, to take the
// results its pod may publish: the guard adds them to the stored object and may not change anything
// else.
func (o *object) fitTaskRun(limits result.Limits) {
	size := int(limits.Object)
	if len(o.list("status", "taskSpec", "results")) > 0 && !o.hasEnded() {
		size -= max(int(limits.TaskRun)-encodedLen(o.list("status", "results")), 0)
	}
	if o.size > size {
		o.refer("taskSpec")
	}
	o.shortenRetries(size)
	o.shortenEmbedded(size, "taskSpec")
}

func (o *object) fitPipelineRun(limits result.Limits, stored []byte) (event string) {
	o.explainCancellation()
	size := int(limits.Object)
	if o.size <= size {
		return ""
	}
	o.refer("pipelineSpec")
	o.shortenWhen(size)
	o.shortenEmbedded(size, "pipelineSpec")
	if o.size <= storable || !o.hasEnded() {
		return ""
	}
	return o.dropPipelineResults(stored)
}

// succeeded returns the index of the condition Succeeded, or -1.
func (o *object) succeeded() int {
	for i := range o.list("status", "conditions") {
		if o.text("status", "conditions", i, "type") == "Succeeded" {
			return i
		}
	}
	return -1
}

func (o *object) hasEnded() bool {
	i := o.succeeded()
	return i >= 0 && o.text("status", "conditions", i, "status") != "Unknown"
}

// refused answers Invalid: Tekton retries Forbidden.
func refused(message string) admission.Response {
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
		Message: message,
	}}}
}

// objectReference returns the reference for events about a run.
func objectReference(o *object) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: o.text("apiVersion"), Kind: o.text("kind"), Namespace: o.text("metadata", "namespace"),
		Name: o.text("metadata", "name"), UID: types.UID(o.text("metadata", "uid")), ResourceVersion: o.text("metadata",
			"resourceVersion"),
	}
}
