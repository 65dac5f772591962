package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
)

// eventStream sends events, one after the other, without blocking the sender: up to 1,000 are
// queued, and more are dropped.
type eventStream struct {
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
}

// denialBounds limits the events about denied writes to one TaskRun, per replica: a burst of 10,
// then one every 5 minutes. The metrics and the log have all denials.
var denialBounds = record.CorrelatorOptions{BurstSize: 10, QPS: 1. / 300}

func newEventStream(sink record.EventSink, bounds record.CorrelatorOptions) *eventStream {
	s := &eventStream{broadcaster: record.NewBroadcasterWithCorrelatorOptions(bounds)}
	s.broadcaster.StartRecordingToSink(sink)
	s.recorder = s.broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "indelible-webhook"})
	return s
}
