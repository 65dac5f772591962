package main

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	clientrecord "k8s.io/client-go/tools/record"

	"github.com/indelible-ci/indelible/pkg/oversize"
)

// endOversize ends runs that are too large for Tekton to write, until ctx ends or wait is called,
// which waits until it has stopped. Of archivers of several classes only the one without a class
// does it.
func (r *replica) endOversize(ctx context.Context) (wait func(), err error) {
	if r.class != "" {
		return func() {}, nil
	}
	runs, err := dynamic.NewForConfig(r.rest)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	events, stopEvents := r.recordEvents()
	var running sync.WaitGroup
	running.Go(func() {
		defer stopEvents()
		oversize.Run(ctx, oversize.Options{
			Config: r.rest, Runs: runs, Log: r.log.WithName("oversize"),
			Events: events,
		})
	})
	return func() {
		stop()
		running.Wait()
	}, nil
}

// recordEvents returns a recorder of events, and a function that stops it.
func (r *replica) recordEvents() (clientrecord.EventRecorder, func()) {
	events := clientrecord.NewBroadcaster()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: r.kube.CoreV1().Events("")})
	return events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "indelible-archiver"}), events.Shutdown
}
