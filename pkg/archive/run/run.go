package run

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// Run is a TaskRun, PipelineRun or CustomRun as read from the API server.
type Run struct {
	// Record is what is archived: the object's JSON without managedFields.
	Record []byte
	metav1.TypeMeta
	metav1.ObjectMeta
	spec   References
	Status Status
	// Deleted: the run no longer exists, and this is its last state from the watch. Last: it is the
	// last attempt to archive that.
	Deleted, Last bool
}

// Attempt is an attempt of a TaskRun: one pod.
type Attempt struct {
	PodName  string `json:"podName"`
	Steps    []Part `json:"steps"`
	Sidecars []Part `json:"sidecars"`
	// bound is how many containers ContainersOf returns at most; nil means maxContainers.
	bound *int
}

// isName reports whether a run or a pod can have that name. Users may have written it.
func isName(name string) bool { return len(validation.IsDNS1123Subdomain(name)) == 0 }

// isLabel reports whether a container or a namespace can have that name.
func isLabel(name string) bool { return len(validation.IsDNS1123Label(name)) == 0 }

// hasPod reports whether podName can be a pod's name.
func (a *Attempt) hasPod() bool { return isName(a.PodName) }

// Part is the state of one container, a step's or a sidecar's.
type Part struct {
	Name       string           `json:"name"`
	Container  string           `json:"container"`
	Running    *json.RawMessage `json:"running"`
	Terminated *json.RawMessage `json:"terminated"`
}

func (s *Part) started() bool { return s.Running != nil || s.Terminated != nil }

// child is a run that a PipelineRun created.
type child struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// Parse reads a run from its JSON. Metadata are the API server's, which checks their types; what is
// wrong in spec and status is left out. Names of fields have to be exact: a run may have another
// member whose name differs in case only, which is not the API server's.
func Parse(object []byte) (*Run, error) {
	record, err := RecordOf(object)
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	r := &Run{Record: record}
	err = jsonscan.Wanted{
		"apiVersion": &r.APIVersion, "kind": &r.Kind, "metadata": &r.ObjectMeta,
		"spec": jsonscan.Lenient{To: &r.spec}, "status": jsonscan.Lenient{To: &r.Status},
	}.Read(record)
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", r.Namespace, r.Name, err)
	}
	if r.UID == "" || r.Kind == "" || r.CreationTimestamp.IsZero() {
		return nil, fmt.Errorf("read %s/%s: not an object of the API server", r.Namespace, r.Name)
	}
	return r, nil
}

// Reference returns the run's kind, namespace and name.
func (r *Run) Reference() Reference {
	return Reference{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

// ID returns what the run's keys in the archive consist of.
func (r *Run) ID() layout.Run {
	return layout.Run{Created: r.CreationTimestamp.Time, UID: string(r.UID)}
}

// Finished reports whether the condition Succeeded is decided. The completion time does not count,
// as a run may lack one.
func (r *Run) Finished() bool { return Succeeded(r.Status.Conditions).Decided() }

// Outcome returns status and reason of the condition Succeeded, Unknown if there is none.
func (r *Run) Outcome() (status, reason string) {
	c := Succeeded(r.Status.Conditions)
	if c == nil {
		return string(corev1.ConditionUnknown), ""
	}
	return c.Status, c.Reason
}

// Completed returns the completion time, nil if there is none.
func (r *Run) Completed() *time.Time {
	if r.Status.CompletionTime.IsZero() {
		return nil
	}
	t := r.Status.CompletionTime.UTC()
	return &t
}

// Since returns how long ago the run finished: by its completion time, else by the last transition
// of its condition. A time in the future counts as one in the past: whoever may write the status
// could otherwise make the run wait for as long as they like.
func (r *Run) Since(now time.Time) time.Duration {
	at := r.CreationTimestamp.Time
	if t := r.Completed(); t != nil {
		at = *t
	} else if c := Succeeded(r.Status.Conditions); c != nil && !c.LastTransitionTime.IsZero() {
		at = c.LastTransitionTime.Time
	}
	return now.Sub(at).Abs()
}

// Attempts returns the attempts of a TaskRun that had a pod, in order; none for other kinds.
func (r *Run) Attempts() []Attempt {
	var withPod []Attempt
	for _, a := range r.attempts() {
		withPod = append(withPod, *a)
	}
	return withPod
}

func (r *Run) attempts() []*Attempt {
	var withPod []*Attempt
	seen := map[string]bool{} // each pod counts once
	for i := range len(r.Status.RetriesStatus) + 1 {
		a := &r.Status.Attempt
		if i < len(r.Status.RetriesStatus) {
			a = &r.Status.RetriesStatus[i]
		}
		if a.hasPod() && !seen[a.PodName] {
			seen[a.PodName] = true
			withPod = append(withPod, a)
		}
	}
	return withPod
}

// BoundLogs sets how many containers ContainersOf returns at most for each of Attempts.
func (r *Run) BoundLogs(bounds []int) {
	for i, a := range r.attempts() {
		a.bound = &bounds[i]
	}
}
