package inject

import (
	"context"
	"time"

	"github.com/go-logr/logr"
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
	// Server is the API server's HOST:PORT as pods reach it: steps may override what the kubelet
	// sets.
	Server string
}

// Options configure the handler.
type Options struct {
	// Settings returns the settings in force. It is called once for each Pod.
	Settings func() Settings
	// Cluster is used for DeliveryAuto; nil means that nothing is known about the cluster.
	Cluster ClusterInfo
	// Guarded returns why results must not be published now, nil if they may. A nil Guarded means
	// always.
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
