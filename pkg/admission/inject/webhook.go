package inject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Settings is the part of the configuration that injection needs.
type Settings struct {
	// Image holds the publisher at /publisher. Required.
	Image string
	// PullPolicy is that of the image volume or the init container.
	PullPolicy corev1.PullPolicy
	// Delivery is how the publisher gets into the Pod.
	Delivery Delivery
	// Timeout bounds publishing.
	Timeout time.Duration
	// Limits are given to the publisher, so that it can refuse early.
	Limits result.Limits
	// Server is the API server's host and port as pods reach it: steps may hide what the kubelet tells them.
	Server string
}

// Options is what the handler works with.
type Options struct {
	// Settings returns the settings in force. It is called once for each Pod.
	Settings func() Settings
	// Cluster is asked for DeliveryAuto; nil means that nothing is known of the cluster.
	Cluster ClusterInfo
	// Guarded says why results must not be published now, nil if they may. A nil Guarded knows of no such reason.
	Guarded func() error
	// Metrics may be nil.
	Metrics *Metrics
	Log     logr.Logger
}

type handler struct{ Options }

// New returns the handler of /inject, for Pods being created.
func New(o Options) admission.Handler {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return &handler{Options: o}
}

// Handle decides about one Pod, answers, counts and logs.
func (h *handler) Handle(ctx context.Context, req admission.Request) admission.Response {
	start := time.Now()
	defer func() { h.Metrics.took(time.Since(start)) }()
	log := h.Log.WithValues("namespace", req.Namespace, "pod", req.Name)

	d := h.decide(ctx, req, log)
	h.Metrics.count(d)
	switch {
	case d.refused != nil:
		log.Info("pod refused", "reason", d.refused.reason, "why", d.refused.message)
	case d.skipped != nil && d.skipped.warn:
		log.Info("pod left alone", "reason", d.skipped.reason, "why", d.skipped.because)
	case d.skipped != nil:
		log.V(1).Info("pod left alone", "reason", d.skipped.reason)
	default:
		log.V(1).Info("pod injected", "taskRun", taskRunOf(d.pod), "delivery", d.publish.delivery)
	}
	return respond(d)
}

// decide makes two plans that do not depend on each other: how the Pod's results are published, and how it is given
// the large values it consumes, which every TaskRun's Pod may do, also one without results.
func (h *handler) decide(ctx context.Context, req admission.Request, log logr.Logger) decision {
	if req.Operation != admissionv1.Create || req.Resource.Group != "" || req.Resource.Resource != "pods" || req.SubResource != "" {
		return decision{skipped: &skip{reason: reasonNotTaskRun}}
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(req.Object.Raw, pod); err != nil {
		return decision{skipped: failed(log, fmt.Errorf("decode pod: %w", err))}
	}
	settings := h.Settings()
	d := decision{pod: pod}
	d.publish, d.skipped = h.planPublishing(ctx, pod, namespaceOf(req, pod), settings, log)
	if d.skipped.is(reasonNotTaskRun) {
		return d
	}
	d.refused = checkResultSize(pod, d.skipped, settings.Limits)
	if d.refused == nil && !d.skipped.is(reasonOptedOut) && !d.skipped.is(reasonWindows) {
		d.scripts = splitScripts(pod)
		d.refused = checkStrings(pod, d.scripts)
	}
	return d
}

// planPublishing goes down the ladder: each early return is one reason to leave the Pod's results to Tekton.
func (h *handler) planPublishing(ctx context.Context, pod *corev1.Pod, namespace string, settings Settings, log logr.Logger) (*plan, *skip) {
	if s := skipPod(pod); s != nil {
		return nil, s
	}
	if !allEntrypoints(pod) {
		return nil, &skip{reasonNotEntrypoint, "a step's command is not " + tektonEntrypoint, true}
	}
	steps, err := readSteps(pod)
	if err != nil {
		return nil, &skip{reasonArguments, "cannot read the arguments of Tekton's entrypoint: " + err.Error(), true}
	}
	if s := skipSteps(pod, steps); s != nil {
		return nil, s
	}
	if h.Guarded != nil && h.Guarded() != nil {
		return nil, &skip{reasonUnguarded, "what guards the writing of results is not all in place, as the readiness of indelible-webhook says", true}
	}
	if settings.Image == "" {
		return nil, failed(log, errors.New("no publisher image is configured"))
	}
	delivery, err := chooseDelivery(ctx, settings.Delivery, h.Cluster, log)
	if err != nil {
		return nil, failed(log, fmt.Errorf("choose delivery: %w", err))
	}
	p := newPlan(pod, namespace, steps, delivery, settings)
	if what := findCollision(pod, p); what != "" {
		return nil, &skip{reasonCollision, what, true}
	}
	return p, nil
}

// failed is for what should not happen. A Pod is worth more than its injection.
func failed(log logr.Logger, err error) *skip {
	log.Error(err, "cannot inject pod")
	return &skip{reasonError, "internal error: " + err.Error(), true}
}

// namespaceOf prefers the request's: a Pod being created may leave its own empty.
func namespaceOf(req admission.Request, pod *corev1.Pod) string {
	if req.Namespace != "" {
		return req.Namespace
	}
	return pod.Namespace
}
