package main

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/admission/selfcheck"
	"github.com/indelible-ci/indelible/pkg/config"
)

// newSelfChecks makes the frequent check of the grant and of the trusted controller, and the rare
// one of read leaks. Both report changes as events on the replica's own Pod, which an admin
// describes first when it is not ready.
func newSelfChecks(
	o options, c *cluster, configured *config.Watcher, registry prometheus.Registerer, log logr.Logger,
) (often, seldom *selfcheck.Checker) {
	metrics := selfcheck.NewMetrics(registry)
	changed := func(ctx context.Context, topic selfcheck.Topic, problem string) {
		report(ctx, o, c, log, topic, problem)
	}
	often = selfcheck.New(selfcheck.Options{
		Question: "whether the grant is guarded",
		Inspect: func(ctx context.Context) (selfcheck.Look, error) {
			now := configured.Current()
			expected := selfcheck.Expected{Controllers: now.Controllers, TaskRunLimit: now.Limits.TaskRun}
			found, err := selfcheck.Inspect(ctx, c.client, expected)
			if found == nil {
				return nil, err // not a non-nil interface with a nil pointer
			}
			return found, err
		},
		Ticks:   time.Tick(o.selfCheck),
		Changed: changed, Metrics: metrics, Log: log,
	})
	seldom = selfcheck.New(selfcheck.Options{
		Question: "which service accounts may patch taskruns/status",
		Inspect: func(ctx context.Context) (selfcheck.Look, error) {
			leaks, err := selfcheck.InspectLeaks(ctx, c.client)
			if err != nil {
				return nil, err
			}
			return leaks, nil
		},
		Timeout: time.Minute, // a page takes about 20 ms; ten thousand bindings are twenty pages
		Ticks:   time.Tick(selfcheck.LeakInterval),
		Changed: changed, Metrics: metrics, Log: log.WithName("leaks"),
	})
	return often, seldom
}

func report(ctx context.Context, o options, c *cluster, log logr.Logger, topic selfcheck.Topic, problem string) {
	if o.pod == "" {
		return
	}
	pod, err := c.GetPod(ctx, o.namespace, o.pod) // `kubectl describe` finds events by UID
	if err != nil {
		log.Error(err, "Could not read the Pod this runs in, to send it an event", "pod", o.pod)
		return
	}
	about := &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name,
		UID: pod.UID}
	if problem == "" {
		c.events.recorder.Event(about, corev1.EventTypeNormal, topic.Right, topic.Relief)
		return
	}
	c.events.recorder.Event(about, corev1.EventTypeWarning, topic.Wrong, problem)
}
