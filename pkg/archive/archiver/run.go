package archiver

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
)

// run is a TaskRun, PipelineRun or CustomRun as one read of the API server gave it.
type run struct {
	// record is what is archived: the object as it was read, without managedFields.
	record []byte
	metav1.TypeMeta
	metav1.ObjectMeta
	spec   references
	status status
	// deleted says that the API server has forgotten the run already: this is the last that was seen of it.
	deleted bool
}

// status is the part of a status that the archiver acts upon. What it does not know is in the record all the same.
type status struct {
	duckv1.Status  `json:",inline"`
	CompletionTime *metav1.Time `json:"completionTime"`
	attempt        `json:",inline"`
	// RetriesStatus has the attempts before, in order.
	RetriesStatus []attempt `json:"retriesStatus"`
	// ChildReferences are a PipelineRun's.
	ChildReferences []child `json:"childReferences"`
}

// attempt is one pod's work for a TaskRun.
type attempt struct {
	PodName  string `json:"podName"`
	Steps    []part `json:"steps"`
	Sidecars []part `json:"sidecars"`
}

// hasPod says whether the attempt came so far. What can be no pod's name is none: somebody may have written it into the status.
func (a *attempt) hasPod() bool { return len(validation.IsDNS1123Subdomain(a.PodName)) == 0 }

// isContainer says whether a container can have that name.
func isContainer(name string) bool { return len(validation.IsDNS1123Label(name)) == 0 }

// part is one container's part of it: a step's, or a sidecar's.
type part struct {
	Name       string           `json:"name"`
	Container  string           `json:"container"`
	Running    *json.RawMessage `json:"running"`
	Terminated *json.RawMessage `json:"terminated"`
}

func (s *part) started() bool { return s.Running != nil || s.Terminated != nil }

// child is a run that a PipelineRun made.
type child struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// parse reads an object of the API server.
func parse(object []byte) (*run, error) {
	record, err := recordOf(object)
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	r := &run{record: record}
	known := struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        *metav1.ObjectMeta `json:"metadata"`
		Spec            *references        `json:"spec"`
		Status          *status            `json:"status"`
	}{Metadata: &r.ObjectMeta, Spec: &r.spec, Status: &r.status}
	if err := json.Unmarshal(r.record, &known); err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", r.Namespace, r.Name, err)
	}
	r.TypeMeta = known.TypeMeta
	if r.UID == "" || r.Kind == "" || r.CreationTimestamp.IsZero() {
		return nil, fmt.Errorf("read %s/%s: not an object of the API server", r.Namespace, r.Name)
	}
	return r, nil
}

func (r *run) reference() Reference {
	return Reference{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
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
	t := r.status.CompletionTime.UTC()
	return &t
}

// since returns how long ago the run finished, as far as it is known: a run without a completion time finished when its
// condition last changed.
func (r *run) since(now time.Time) time.Duration {
	if t := r.completed(); t != nil {
		return now.Sub(*t)
	}
	if c := r.status.GetCondition(apis.ConditionSucceeded); c != nil {
		return now.Sub(c.LastTransitionTime.Inner.Time)
	}
	return now.Sub(r.CreationTimestamp.Time)
}

// attempts returns all attempts of a TaskRun that had a pod, the first one first; none for other kinds.
func (r *run) attempts() []attempt {
	all := append(append([]attempt(nil), r.status.RetriesStatus...), r.status.attempt)
	var withPod []attempt
	seen := map[string]bool{} // a pod has one attempt
	for _, a := range all {
		if a.hasPod() && !seen[a.PodName] {
			seen[a.PodName] = true
			withPod = append(withPod, a)
		}
	}
	return withPod
}
