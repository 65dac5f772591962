package main

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/admission/selfcheck"
)

// newSelfCheck makes the check of the grant, which reports changes as events on the replica's own Pod: an admin who
// finds it not ready describes it first.
func newSelfCheck(o options, c *cluster, registry prometheus.Registerer, log logr.Logger) *selfcheck.Checker {
	return selfcheck.New(selfcheck.Options{
		Inspect: func(ctx context.Context) (selfcheck.Finding, error) { return selfcheck.Inspect(ctx, c.client) },
		Ticks:   time.Tick(selfcheck.Interval),
		Changed: func(ctx context.Context, problem string) { reportGrant(ctx, o, c, log, problem) },
		Metrics: selfcheck.NewMetrics(registry),
		Log:     log,
	})
}

func reportGrant(ctx context.Context, o options, c *cluster, log logr.Logger, problem string) {
	if o.pod == "" {
		return
	}
	pod, err := c.GetPod(ctx, o.namespace, o.pod) // `kubectl describe` finds events by the UID
	if err != nil {
		log.Error(err, "Could not read the Pod this runs in, to report to it", "pod", o.pod)
		return
	}
	about := &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
	if problem == "" {
		c.events.recorder.Event(about, corev1.EventTypeNormal, "GrantGuarded", "what guards the grant is in place again, or the grant is gone")
		return
	}
	c.events.recorder.Event(about, corev1.EventTypeWarning, "UnguardedGrant", problem)
}
