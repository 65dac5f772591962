package run

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

// Run is a TaskRun, PipelineRun or CustomRun as one read of the API server gave it.
type Run struct {
	// Record is what is archived: the object as it was read, without managedFields.
	Record []byte
	metav1.TypeMeta
	metav1.ObjectMeta
	spec   References
	Status Status
	// Deleted says that the API server has forgotten the run already: this is the last that was
	// seen of it.
	Deleted bool
}

// Status is the part of a status that the archiver acts upon. What it does not know is in the
// record all the same.
type Status struct {
	duckv1.Status  `json:",inline"`
	CompletionTime *metav1.Time `json:"completionTime"`
	Attempt        `json:",inline"`
	// RetriesStatus has the attempts before, in order.
	RetriesStatus []Attempt `json:"retriesStatus"`
	// ChildReferences are a PipelineRun's.
	ChildReferences []child `json:"childReferences"`
}

// Attempt is one pod's work for a TaskRun.
type Attempt struct {
	PodName  string `json:"podName"`
	Steps    []Part `json:"steps"`
	Sidecars []Part `json:"sidecars"`
}

// hasPod says whether the attempt came so far. What can be no pod's name is none: somebody may have
// written it into the status.
func (a *Attempt) hasPod() bool { return len(validation.IsDNS1123Subdomain(a.PodName)) == 0 }

// isContainer says whether a container can have that name.
func isContainer(name string) bool { return len(validation.IsDNS1123Label(name)) == 0 }

// Part is one container's part of it: a step's, or a sidecar's.
type Part struct {
	Name       string           `json:"name"`
	Container  string           `json:"container"`
	Running    *json.RawMessage `json:"running"`
	Terminated *json.RawMessage `json:"terminated"`
}

func (s *Part) started() bool { return s.Running != nil || s.Terminated != nil }

// child is a run that a PipelineRun made.
type child struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// Parse reads an object of the API server.
func Parse(object []byte) (*Run, error) {
	record, err := RecordOf(object)
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	r := &Run{Record: record}
	known := struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        *metav1.ObjectMeta `json:"metadata"`
		Spec            *References        `json:"spec"`
		Status          *Status            `json:"status"`
	}{Metadata: &r.ObjectMeta, Spec: &r.spec, Status: &r.Status}
	if err := json.Unmarshal(r.Record, &known); err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", r.Namespace, r.Name, err)
	}
	r.TypeMeta = known.TypeMeta
	if r.UID == "" || r.Kind == "" || r.CreationTimestamp.IsZero() {
		return nil, fmt.Errorf("read %s/%s: not an object of the API server", r.Namespace, r.Name)
	}
	return r, nil
}

// Reference names the run.
func (r *Run) Reference() Reference {
	return Reference{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

// ID is what the run's keys in the archive are made of.
func (r *Run) ID() layout.Run {
	return layout.Run{Created: r.CreationTimestamp.Time, UID: string(r.UID)}
}

// Finished says whether Tekton is done with the run. A run may lack a completion time: the
// condition counts.
func (r *Run) Finished() bool {
	c := r.Status.GetCondition(apis.ConditionSucceeded)
	return c.IsTrue() || c.IsFalse()
}

// Outcome returns status and reason of the condition Succeeded; Unknown for a run that Tekton has
// not looked at.
func (r *Run) Outcome() (status, reason string) {
	c := r.Status.GetCondition(apis.ConditionSucceeded)
	if c == nil {
		return string(corev1.ConditionUnknown), ""
	}
	return string(c.Status), c.Reason
}

// Completed returns when Tekton was done, nil if the run does not say.
func (r *Run) Completed() *time.Time {
	if r.Status.CompletionTime.IsZero() {
		return nil
	}
	t := r.Status.CompletionTime.UTC()
	return &t
}

// Since returns how long ago the run finished, as far as it is known: a run without a completion
// time finished when its condition last changed.
func (r *Run) Since(now time.Time) time.Duration {
	if t := r.Completed(); t != nil {
		return now.Sub(*t)
	}
	if c := r.Status.GetCondition(apis.ConditionSucceeded); c != nil {
		return now.Sub(c.LastTransitionTime.Inner.Time)
	}
	return now.Sub(r.CreationTimestamp.Time)
}

// Attempts returns all attempts of a TaskRun that had a pod, the first one first; none for other
// kinds.
func (r *Run) Attempts() []Attempt {
	all := append(append([]Attempt(nil), r.Status.RetriesStatus...), r.Status.Attempt)
	var withPod []Attempt
	seen := map[string]bool{} // a pod has one attempt
	for _, a := range all {
		if a.hasPod() && !seen[a.PodName] {
			seen[a.PodName] = true
			withPod = append(withPod, a)
		}
	}
	return withPod
}
