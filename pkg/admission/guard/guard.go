package guard

import (
	"context"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Settings is what may change while the guard runs.
type Settings struct {
	// Controllers are the user names that may write any status: Tekton's controller. The
	// ValidatingAdmissionPolicy in config/policy names it too.
	Controllers []string
	// Limits bound what pods may publish.
	Limits result.Limits
}

// PodGetter reads a live Pod, not a cached one: a cache may still hold the previous pod of that
// name. A missing Pod is a NotFound error (k8s.io/apimachinery/pkg/api/errors).
type PodGetter interface {
	GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
}

// EventSink records an event about an object. record.EventRecorder of client-go is one. It must not
// block.
type EventSink interface {
	Event(object runtime.Object, eventtype, reason, message string)
}

// Options configure the handlers.
type Options struct {
	// Settings is called once per request.
	Settings func() Settings
	// Pods is needed by guard and report, Denials by report, Events by the carry-over; the last two
	// may be nil. Denials must have limits of its own: an attacker can cause any number of denials.
	Pods            PodGetter
	Events, Denials EventSink
	// Authenticated reports whether the request with this context comes from a proven API server.
	// Events are sent only for those; nil means none. It does not affect answers.
	Authenticated func(context.Context) bool
	// Metrics may be shared by all handlers; nil means unregistered ones.
	Metrics *Metrics
	Log     logr.Logger
	// Now is the clock for measuring durations; nil means time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Authenticated == nil {
		o.Authenticated = func(context.Context) bool { return false }
	}
	return o
}

// NewGuard returns the handler of /guard, which decides who may write what into a TaskRun's status
// in namespaces that have opted in.
func NewGuard(o Options) admission.Handler { return &guard{Options: o.withDefaults()} }

// NewGuardElsewhere returns the handler of /guard-elsewhere, which does the same for all other
// namespaces. No pod publishes there; results stored before a namespace opted out are still
// guarded.
func NewGuardElsewhere(o Options) admission.Handler {
	return &guard{Options: o.withDefaults(), elsewhere: true}
}

// NewCarryOver returns the handler of /carry-over, which keeps step results and explains failures.
func NewCarryOver(o Options) admission.Handler { return &carryOverHandler{o.withDefaults()} }

type guard struct {
	Options
	// elsewhere is set for requests of namespaces that have not opted in.
	elsewhere bool
}

// verdict is what the guard decides about one write.
type verdict struct {
	denial    *denial
	patch     []operation
	warnings  []string
	added     []addition
	preserved int
	// own is set if the requester is the TaskRun's own pod (rule "identity"); taskRunUID is then
	// the stored UID.
	own        bool
	taskRunUID string
}

func (g *guard) Handle(ctx context.Context, req admission.Request) admission.Response {
	start := g.Now()
	settings := g.Settings()
	r := requesterOf(req.UserInfo, settings.Controllers)
	v := g.judge(ctx, settings, r, &req.AdmissionRequest)
	g.Metrics.decided(r, v, g.Now().Sub(start), isDryRun(&req.AdmissionRequest))
	if v.preserved > 0 {
		g.Log.Info("Put stored results back into a write of the controller",
			"namespace", req.Namespace, "taskrun", req.Name, "results", v.preserved)
	}
	return respond(g.Log, &req.AdmissionRequest, r, v)
}

func (g *guard) judge(ctx context.Context, settings Settings, r requester, req *admissionv1.AdmissionRequest) verdict {
	if d := checkScope(r, req); d != nil {
		return verdict{denial: d}
	}
	if !inScope(req) {
		return verdict{}
	}
	if r.kind == requesterPod || r.kind == requesterServiceAccount {
		return g.judgeAccount(ctx, settings.Limits, r, req)
	}
	stored, incoming, d := decodeRequest(req)
	if d != nil {
		return verdict{denial: d}
	}
	if r.kind == requesterController {
		patch, preserved, d := putBackResults(stored.status, incoming.status)
		return verdict{patch: patch, preserved: preserved, denial: d}
	}
	return verdict{denial: checkOthers(stored.status, incoming.status)}
}

// judgeAccount decides a write of a service account. The incoming object is read last: a requester
// that is not the TaskRun's own pod costs no more than a look at the request and the stored object.
func (g *guard) judgeAccount(
	ctx context.Context, limits result.Limits, r requester, req *admissionv1.AdmissionRequest,
) verdict {
	if d := firstDenial(
		func() *denial { return checkToken(r, req.Namespace) },
		func() *denial { return checkOptedIn(g.elsewhere) },
	); d != nil {
		return verdict{denial: d}
	}
	stored, d := decodeStored(req)
	if d == nil {
		d = g.identify(ctx, r, stored)
	}
	if d != nil {
		return verdict{denial: d}
	}
	incoming, d := decodeIncoming(req)
	if d != nil {
		return verdict{denial: d, own: true}
	}
	v := judgePod(limits, r.podUID, stored, incoming)
	v.own, v.taskRunUID = true, stored.uid
	return v
}

func decodeRequest(req *admissionv1.AdmissionRequest) (stored, incoming taskRun, d *denial) {
	if stored, d = decodeStored(req); d == nil {
		incoming, d = decodeIncoming(req)
	}
	return stored, incoming, d
}

func decodeStored(req *admissionv1.AdmissionRequest) (taskRun, *denial) {
	stored, err := decodeTaskRun(req.OldObject.Raw)
	if err != nil {
		return taskRun{}, invalid(ruleRequest, "the stored object: %v", err)
	}
	return stored, nil
}

func decodeIncoming(req *admissionv1.AdmissionRequest) (taskRun, *denial) {
	incoming, err := decodeTaskRun(req.Object.Raw)
	if err != nil {
		return taskRun{}, invalid(ruleRequest, "the new object: %v", err)
	}
	return incoming, nil
}

// identify applies the rules "identity", parts 2 and 3, and "publisher". The live Pod is read only
// if the token fits.
func (g *guard) identify(ctx context.Context, r requester, stored taskRun) *denial {
	if d := checkIdentity(r, stored); d != nil {
		return d
	}
	pod, err := g.Pods.GetPod(ctx, stored.namespace, r.podName)
	if apierrors.IsNotFound(err) {
		return checkOwner(r, stored, nil)
	}
	if err != nil {
		g.Log.Error(err, "Could not read the Pod of a requester", "namespace", stored.namespace, "pod", r.podName)
		return deny(ruleIdentity, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable,
			"the guard could not read Pod %.100q: try again", r.podName)
	}
	return firstDenial(
		func() *denial { return checkOwner(r, stored, pod) },
		func() *denial { return checkPublisher(r, pod) },
	)
}

// judgePod applies the rules about content to a write of the TaskRun's own pod.
func judgePod(limits result.Limits, podUID string, stored, incoming taskRun) verdict {
	declared, err := declarationsOf(stored.status)
	if err != nil {
		return verdict{denial: invalid(ruleDeclared, "%v", err)}
	}
	if d := firstDenial(
		func() *denial { return checkFields(stored, incoming) },
		func() *denial { return checkDeclared(declared, stored.status, incoming.status) },
		func() *denial { return checkOnce(declared, stored.status, incoming.status) },
	); d != nil {
		return verdict{denial: d}
	}
	final, d := merge(declared, stored.status, incoming.status)
	if d != nil {
		return verdict{denial: d}
	}
	if d := firstDenial(
		func() *denial { return checkCompleted(stored.status, final.adds()) },
		func() *denial { return checkSize(limits, final, finalSize(stored, final)) },
		func() *denial { return checkClosed(stored.status, podUID, final.adds()) },
	); d != nil {
		return verdict{denial: d}
	}
	patch := append(makeWhole(stored, incoming, final), markPublished(stored.status, podUID, final.adds())...)
	return verdict{patch: patch, warnings: final.warnings, added: final.added}
}
