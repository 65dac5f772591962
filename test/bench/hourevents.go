package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes/scheme"
)

const (
	// hourRuns are the TaskRuns of an hour, for as long as API servers keep events. Each has
	// runEvents, as flow counts them: 4 of the TaskRun, the others of its pod.
	hourRuns, runEvents, ofTaskRun = 10_000, 21, 4
	// eventBytes is about what an event has as JSON, with its managedFields.
	eventBytes = 1400
)

// startedWithEvents measures starts in the same cluster with the events of an hour in it: with a
// list in pages, whose whole JSON passes through the archiver's memory, and with one that streams.
func (b *bench) startedWithEvents(ctx context.Context) (rows []row, err error) {
	note("%d events of the last hour", hourRuns*runEvents)
	defer func() { err = errors.Join(err, b.etcd.deleteBelow(context.WithoutCancel(ctx), b.eventsPrefix())) }()
	size, err := b.seedEvents(ctx)
	if err != nil {
		return nil, err
	}
	rows = append(rows, says(fmt.Sprintf("events of the last hour at %d TaskRuns/h, and their mean size as JSON", hourRuns),
		"%d, %.0f bytes", hourRuns*runEvents, size))
	for _, way := range []struct {
		name, what  string
		environment []string
	}{
		{"events-by-pages", "start with them, with lists in pages", []string{"KUBE_FEATURE_WatchListClient=false"}},
		{"events-streamed", "start with them, with lists that stream", nil},
	} {
		of, err := b.startedOnce(ctx, way.name, way.what, way.environment)
		rows = append(rows, of...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// startedOnce starts an archiver until it has read the state of the cluster.
func (b *bench) startedOnce(ctx context.Context, name, what string, environment []string) ([]row, error) {
	began := time.Now()
	p, err := b.startArchiver(ctx, name, setting{logs: "follow", environment: environment})
	if err != nil {
		return nil, err
	}
	err = b.ready(ctx, p)
	took := time.Since(began)
	var found samples
	if err == nil {
		found, err = p.samples(ctx)
	}
	peak, stopErr := p.stop()
	return []row{
		atMost(what+": peak of memory", float64(peak)/mib, 300, "MiB"),
		says("state of the cluster known after; events for which there was no room", "%.1f s; %.0f", took.Seconds(),
			found.sum("indelible_archive_events_dropped_total")),
	}, errors.Join(err, stopErr)
}

func (b *bench) eventsPrefix() string { return "/registry/events/" + b.namespace + "/" }

// seedEvents writes the events into etcd, as the API server would have, and returns the mean size
// of their JSON. The API server has no cache of events: they are there at once.
func (b *bench) seedEvents(ctx context.Context) (meanSize float64, err error) {
	uids := make([]types.UID, 2*hourRuns)
	for i := range uids {
		uids[i] = uuid.NewUUID()
	}
	encoder := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	now := time.Now()
	err = b.etcd.write(ctx, hourRuns*runEvents, func(i int) (string, []byte, error) {
		e := b.hourEvent(i, uids, now)
		var buffer bytes.Buffer
		err := encoder.Encode(e, &buffer)
		return b.eventsPrefix() + e.Name, buffer.Bytes(), err
	})
	if err != nil {
		return 0, fmt.Errorf("writing events: %w", err)
	}
	page, err := b.cluster.Kube.CoreV1().RESTClient().Get().Namespace(b.namespace).Resource("events").
		Param("limit", "500").SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return 0, fmt.Errorf("reading events: %w", err)
	}
	return float64(len(page)) / 500, nil
}

// hourEvent is the event i of all: of a TaskRun or its pod, of which each has a UID.
func (b *bench) hourEvent(i int, uids []types.UID, now time.Time) *corev1.Event {
	of, nth := i/runEvents, i%runEvents
	name, kind, version, uid := fmt.Sprintf("build-%06d", of), "TaskRun", "tekton.dev/v1", uids[2*of]
	if nth >= ofTaskRun {
		name, kind, version, uid = name+"-pod", "Pod", "v1", uids[2*of+1]
	}
	at := now.Add(-time.Duration(of) * time.Hour / hourRuns)
	stamp := metav1.NewTime(at.Truncate(time.Second))
	e := &corev1.Event{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Event"},
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", name, at.UnixNano()+int64(nth)), Namespace: b.namespace,
			UID: uuid.NewUUID(), CreationTimestamp: stamp},
		InvolvedObject: corev1.ObjectReference{Kind: kind, APIVersion: version, Namespace: b.namespace, Name: name,
			UID: uid, ResourceVersion: "1234567", FieldPath: "spec.containers{step-build}"},
		Reason: "Started", Type: corev1.EventTypeNormal, Count: 1, FirstTimestamp: stamp, LastTimestamp: stamp,
		Source:              corev1.EventSource{Component: "kubelet", Host: "node-1.example.test"},
		ReportingController: "kubelet", ReportingInstance: "node-1.example.test",
	}
	e.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate,
		APIVersion: "v1", Time: &stamp, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(eventFields)}}
	e.Message = fmt.Sprintf("Container started: step-build of %s, %s", name, digest(16))
	if known, err := e.Marshal(); err == nil && len(known) < eventBytes-500 { // names of fields are in the JSON only
		e.Message += strings.Repeat(".", eventBytes-500-len(known))
	}
	return e
}

const eventFields = `{"f:count":{},"f:firstTimestamp":{},"f:involvedObject":{},"f:lastTimestamp":{},"f:message":{},` +
	`"f:reason":{},"f:reportingComponent":{},"f:reportingInstance":{},"f:source":{"f:component":{},"f:host":{}},"f:type":{}}`
