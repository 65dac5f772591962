package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/test/harness"
)

// recording is all that watches showed of a real TaskRun, its pod and the events about both, from
// its creation to its end. Replayed under other names it is what Kubernetes and Tekton write of
// other runs.
type recording struct {
	name  string
	began time.Time
	mu    sync.Mutex
	// moments are in the order they came in.
	moments []moment
	// steps are the names of containers, in the order they ran in; started and ended is when the
	// pod first said so.
	steps          []string
	started, ended map[string]time.Duration
	finished       bool
}

// moment is an object as it was a while after the recording began.
type moment struct {
	after    time.Duration
	resource string
	object   []byte
}

// settles is how long after the end of a run something may still be written about it.
const settles = 3 * time.Second

// record runs a TaskRun on the cluster and watches it.
func (b *bench) record(ctx context.Context, name, text string) (*recording, error) {
	r := &recording{name: name, began: time.Now()}
	r.started, r.ended = map[string]time.Duration{}, map[string]time.Duration{}
	ctx, cancel := context.WithTimeout(ctx, patience)
	var watches sync.WaitGroup
	defer watches.Wait()
	defer cancel()
	core, tekton := b.cluster.Kube.CoreV1().RESTClient(), b.cluster.Tekton.TektonV1().RESTClient()
	for resource, client := range map[string]rest.Interface{"taskruns": tekton, "pods": core, "events": core} {
		watch := client.Get().Namespace(b.namespace).Resource(resource).Param("watch", "true")
		stream, err := watch.SetHeader("Accept", "application/json").Stream(ctx)
		if err != nil {
			return nil, fmt.Errorf("watching %s: %w", resource, err)
		}
		watches.Go(func() {
			defer stream.Close()
			lines := bufio.NewScanner(stream)
			lines.Buffer(nil, mib)
			for lines.Scan() {
				var event struct{ Object json.RawMessage }
				err := json.Unmarshal(lines.Bytes(), &event)
				if err == nil && bytes.Contains(event.Object, []byte(`"`+name)) {
					err = r.saw(resource, event.Object)
				}
				if err != nil {
					note("recording %s: %v", resource, err)
				}
			}
		})
	}
	if err := b.cluster.Create(ctx, b.namespace, harness.WithImage(text)); err != nil {
		return nil, err
	}
	err := b.until(ctx, "the end of TaskRun "+name+" is recorded", func() (bool, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.finished && len(r.ended) == len(r.steps), nil
	})
	time.Sleep(settles)
	return r, err
}

// saw leaves out pods that no scheduler has seen, which it would put on a real node, a TaskRun
// after its end, when an archiver works on it, and that the local cluster has no DNS.
func (r *recording) saw(resource string, object []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := moment{time.Since(r.began), resource, object}
	switch resource {
	case "events":
		if bytes.Contains(object, []byte(`"MissingClusterDNS"`)) {
			return nil
		}
	case "taskruns":
		t, err := run.Parse(object)
		switch {
		case err != nil || r.finished:
			return err
		case !t.Protected():
			return errors.New("the TaskRun has no finalizer: the archiver would put it on, and the replay take it off")
		}
		r.finished = t.Finished()
	case "pods":
		var pod corev1.Pod
		if err := json.Unmarshal(object, &pod); err != nil || pod.Spec.NodeName == "" {
			return err
		}
		for _, s := range pod.Status.ContainerStatuses {
			if _, known := r.started[s.Name]; !known && s.State.Waiting == nil {
				r.started[s.Name] = m.after
			}
			if _, known := r.ended[s.Name]; !known && s.State.Terminated != nil {
				r.ended[s.Name] = m.after
			}
		}
		if r.steps == nil {
			for _, c := range pod.Spec.Containers {
				r.steps = append(r.steps, c.Name)
			}
		}
	}
	r.moments = append(r.moments, m)
	return nil
}

// speaks returns when a step printed: from when the one before has ended to when the pod said that
// it has.
func (r *recording) speaks(step int) (from, to time.Duration) {
	from = r.started[r.steps[step]]
	if step > 0 {
		from = max(from, r.ended[r.steps[step-1]])
	}
	return from, r.ended[r.steps[step]]
}

// replay gives all moments, each when it is time, as those of a run of another name and node that
// begins now. Times are shifted; UIDs and digests are others, the same wherever they were the
// same. It returns how late the last moment was.
func (r *recording) replay(
	ctx context.Context, name, node string, put func(resource, name string, stored []byte) error,
) (late time.Duration, err error) {
	began, fresh := time.Now(), map[string]string{}
	shift := began.Sub(r.began).Truncate(time.Second)
	for _, m := range r.moments {
		if err := sleep(ctx, time.Until(began.Add(m.after))); err != nil {
			return 0, err
		}
		text := strings.ReplaceAll(string(m.object), r.name, name)
		text = tokens.ReplaceAllStringFunc(text, func(token string) string {
			switch at, err := time.Parse(time.RFC3339, token); {
			case err == nil:
				return at.Add(shift).Format(time.RFC3339)
			case fresh[token] != "":
			case len(token) == 40:
				fresh[token] = digest(20)
			default:
				fresh[token] = string(uuid.NewUUID())
			}
			return fresh[token]
		})
		object, stored, err := asStored(m.resource, text, node)
		if err == nil {
			err = put(m.resource, object, stored)
		}
		if err != nil {
			return 0, fmt.Errorf("replaying %s of %s: %w", m.resource, name, err)
		}
	}
	return time.Since(began) - r.moments[len(r.moments)-1].after, nil
}

// tokens are UIDs, digests and times.
var tokens = regexp.MustCompile(
	`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{40}\b|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// asStored returns an object's name and what the API server writes of it: JSON of a custom
// resource, protobuf of others. Tekton leaves alone what another controller manages, and pods that
// it does not.
func asStored(resource, text, node string) (name string, stored []byte, err error) {
	var meta struct{ Metadata struct{ Name string } }
	if err := json.Unmarshal([]byte(text), &meta); err != nil || resource == "taskruns" {
		text = strings.Replace(text, `"spec":{`, `"spec":{"managedBy":"indelible.dev/bench",`, 1)
		return meta.Metadata.Name, []byte(text), err
	}
	pod := &corev1.Pod{}
	object := runtime.Object(&corev1.Event{})
	if resource == "pods" {
		object = pod
	}
	if err := json.Unmarshal([]byte(text), object); err != nil {
		return "", nil, err
	}
	pod.Spec.NodeName = node
	delete(pod.Labels, "app.kubernetes.io/managed-by")
	var buffer bytes.Buffer
	err = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(object, &buffer)
	return meta.Metadata.Name, buffer.Bytes(), err
}

// sleep returns the context's error if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
