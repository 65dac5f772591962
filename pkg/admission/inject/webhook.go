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
}

// Options is what the handler works with.
type Options struct {
	// Settings returns the settings in force. It is called once for each Pod.
	Settings func() Settings
	// Cluster is asked for DeliveryAuto; nil means that nothing is known of the cluster.
	Cluster ClusterInfo
	// Metrics may be nil.
	Metrics *Metrics
	Log     logr.Logger
}

type handler struct{ Options }

// New returns the handler of /inject, for Pods being created. Every answer allows the Pod.
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

	pod, p, skipped := h.decide(ctx, req, log)
	if skipped != nil {
		h.Metrics.skipped(skipped.reason)
		if skipped.warning != "" {
			log.Info("pod left alone", "reason", skipped.reason, "why", skipped.warning)
		} else {
			log.V(1).Info("pod left alone", "reason", skipped.reason)
		}
		return leaveAlone(skipped)
	}
	h.Metrics.injected()
	log.V(1).Info("pod injected", "taskRun", taskRunOf(pod), "delivery", p.delivery)
	return rewrite(p.patch(pod))
}

// decide goes down the ladder: each early return is one reason to leave the Pod alone.
func (h *handler) decide(ctx context.Context, req admission.Request, log logr.Logger) (*corev1.Pod, *plan, *skip) {
	if req.Operation != admissionv1.Create || req.Resource.Group != "" || req.Resource.Resource != "pods" || req.SubResource != "" {
		return nil, nil, &skip{reason: reasonNotTaskRun}
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(req.Object.Raw, pod); err != nil {
		return nil, nil, failed(log, fmt.Errorf("decode pod: %w", err))
	}
	if s := skipPod(pod); s != nil {
		return pod, nil, s
	}
	if !allEntrypoints(pod) {
		return pod, nil, &skip{reasonNotEntrypoint, warning("a step's command is not " + tektonEntrypoint)}
	}
	steps, err := readSteps(pod)
	if err != nil {
		return pod, nil, &skip{reasonArguments, warning("cannot read the arguments of Tekton's entrypoint: " + err.Error())}
	}
	if s := skipSteps(pod, steps); s != nil {
		return pod, nil, s
	}
	settings := h.Settings()
	if settings.Image == "" {
		return pod, nil, failed(log, errors.New("no publisher image is configured"))
	}
	delivery, err := chooseDelivery(ctx, settings.Delivery, h.Cluster, log)
	if err != nil {
		return pod, nil, failed(log, fmt.Errorf("choose delivery: %w", err))
	}
	p := newPlan(pod, namespaceOf(req, pod), steps, delivery, settings)
	if what := findCollision(pod, p); what != "" {
		return pod, nil, &skip{reasonCollision, warning(what)}
	}
	return pod, p, nil
}

// failed is for what should not happen. A Pod is worth more than its injection.
func failed(log logr.Logger, err error) *skip {
	log.Error(err, "cannot inject pod")
	return &skip{reasonError, warning("internal error: " + err.Error())}
}

// namespaceOf prefers the request's: a Pod being created may leave its own empty.
func namespaceOf(req admission.Request, pod *corev1.Pod) string {
	if req.Namespace != "" {
		return req.Namespace
	}
	return pod.Namespace
}
