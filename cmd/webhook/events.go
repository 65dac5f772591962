package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
)

// eventStream sends events, one after the other. Whoever reports one never waits: at most 1,000 queue up, and what
// comes while the queue is full is dropped.
type eventStream struct {
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
}

// denialBounds is how many denials of writes to one TaskRun a replica reports: 10, and then one each 5 minutes. All of
// them are in the metrics and the log; what is lost here is the count of repetitions in the event.
var denialBounds = record.CorrelatorOptions{BurstSize: 10, QPS: 1. / 300}

func newEventStream(sink record.EventSink, bounds record.CorrelatorOptions) *eventStream {
	s := &eventStream{broadcaster: record.NewBroadcasterWithCorrelatorOptions(bounds)}
	s.broadcaster.StartRecordingToSink(sink)
	s.recorder = s.broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "indelible-webhook"})
	return s
}
