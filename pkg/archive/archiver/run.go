package archiver

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// Resources are what is archived, in the version that is read and stored.
var Resources = []schema.GroupVersionResource{
	{Group: "tekton.dev", Version: "v1", Resource: "taskruns"},
	{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"},
	{Group: "tekton.dev", Version: "v1beta1", Resource: "customruns"},
}

// run is a TaskRun, PipelineRun or CustomRun as one read of the API server gave it.
type run struct {
	resource schema.GroupVersionResource
	// record is what is archived: the object as it was read, without managedFields.
	record []byte
	metav1.TypeMeta
	metav1.ObjectMeta
	status status
}

// status is the part of a status that the archiver acts upon. What it does not know is in the record all the same.
type status struct {
	duckv1.Status  `json:",inline"`
	CompletionTime *metav1.Time `json:"completionTime"`
	attempt        `json:",inline"`
	// RetriesStatus has the attempts before, in order.
	RetriesStatus []attempt `json:"retriesStatus"`
}

// attempt is one pod's work for a TaskRun.
type attempt struct {
	PodName string `json:"podName"`
	Steps   []struct {
		Name      string `json:"name"`
		Container string `json:"container"`
	} `json:"steps"`
}

// parse reads an object of the API server. It drops metadata.managedFields, which is bookkeeping of the API server's own
// and often larger than the rest, and nothing else: fields that this program does not know are archived as well.
func parse(resource schema.GroupVersionResource, object []byte) (*run, error) {
	var fields, metadata map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		return nil, fmt.Errorf("read %s: %w", resource.Resource, err)
	}
	if err := json.Unmarshal(fields["metadata"], &metadata); err != nil {
		return nil, fmt.Errorf("read metadata of %s: %w", resource.Resource, err)
	}
	delete(metadata, "managedFields")
	var err error
	if fields["metadata"], err = json.Marshal(metadata); err != nil {
		return nil, fmt.Errorf("read metadata of %s: %w", resource.Resource, err)
	}
	r := &run{resource: resource}
	if r.record, err = json.Marshal(fields); err != nil {
		return nil, fmt.Errorf("read %s: %w", resource.Resource, err)
	}
	known := struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        *metav1.ObjectMeta `json:"metadata"`
		Status          *status            `json:"status"`
	}{Metadata: &r.ObjectMeta, Status: &r.status}
	if err := json.Unmarshal(r.record, &known); err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", resource.Resource, r.Namespace, r.Name, err)
	}
	r.TypeMeta = known.TypeMeta
	if r.UID == "" || r.Kind == "" || r.CreationTimestamp.IsZero() {
		return nil, fmt.Errorf("read %s: not an object of the API server", resource.Resource)
	}
	return r, nil
}

// id is what the run's keys in the archive are made of.
func (r *run) id() layout.Run {
	return layout.Run{Created: r.CreationTimestamp.Time, UID: string(r.UID)}
}

// finished says whether Tekton is done with the run. A run may lack a completion time: the condition counts.
func (r *run) finished() bool {
	c := r.status.GetCondition(apis.ConditionSucceeded)
	return c.IsTrue() || c.IsFalse()
}

// outcome returns status and reason of the condition Succeeded; Unknown for a run that Tekton has not looked at.
func (r *run) outcome() (status, reason string) {
	c := r.status.GetCondition(apis.ConditionSucceeded)
	if c == nil {
		return string(corev1.ConditionUnknown), ""
	}
	return string(c.Status), c.Reason
}

// completed returns when Tekton was done, nil if the run does not say.
func (r *run) completed() *time.Time {
	if r.status.CompletionTime.IsZero() {
		return nil
	}
	return &r.status.CompletionTime.Time
}

// attempts returns all attempts of a TaskRun that had a pod, the first one first; none for other kinds.
func (r *run) attempts() []attempt {
	all := append(append([]attempt(nil), r.status.RetriesStatus...), r.status.attempt)
	var withPod []attempt
	for _, a := range all {
		if a.PodName != "" {
			withPod = append(withPod, a)
		}
	}
	return withPod
}

// releaseAnnotation is Tekton's: the release that ran it.
const releaseAnnotation = "pipeline.tekton.dev/release"

func (u *upload) versions() manifest.Versions {
	return manifest.Versions{Archiver: u.Version, Kubernetes: u.Kubernetes, Tekton: u.run.Annotations[releaseAnnotation]}
}
