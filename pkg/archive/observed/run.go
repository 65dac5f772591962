package observed

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// Run is a run from the watch, reduced to what decides whether there is something to do: when the
// archiver starts, 100,000 may be in memory. The metadata has name, namespace, UID, resource
// version and deletion time only.
type Run struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Finished, Protected, Archived, OptedOut bool
	// Foreign: it has annotations of another archived run. owned: it is deleted with its owner.
	Foreign, owned bool
	Class          string
	// Stays is what decides how long an archived run stays in the cluster, and Policy the policy
	// that applies. Both are nil for a run that is not archived, that is deleted with its owner, or
	// to which no policy applies.
	Stays  *stay.Run
	Policy *stay.Policy
	// Parents are the owning PipelineRuns, which may wait for this run.
	Parents []run.Reference
	// owners are the runs with which the garbage collector deletes it. created is its
	// creationTimestamp.
	owners  []member
	created time.Time
	Attempt run.Attempt
	// Size of the object in bytes. Object is its JSON, kept only for runs that were deleted.
	Size   int
	Object []byte
}

// DeepCopyObject implements runtime.Object. An observed object is never changed.
func (s *Run) DeepCopyObject() runtime.Object { c := *s; return &c }

// UnmarshalJSON reads a copy of data.
func (s *Run) UnmarshalJSON(data []byte) error { return s.Read(bytes.Clone(data)) }

// Read reads a run from its JSON, which it keeps.
func (s *Run) Read(object []byte) error {
	m := &s.ObjectMeta
	var annotations, labels map[string]string
	var finalizers []string
	var owners []metav1.OwnerReference
	var conditions []struct{ Type, Status, Reason string }
	var generateName string
	var created metav1.Time
	var spec run.References
	var steps, sidecars json.RawMessage
	err := jsonscan.Wanted{
		"apiVersion": &s.APIVersion, "kind": &s.Kind,
		"metadata": jsonscan.Wanted{
			"name": &m.Name, "namespace": &m.Namespace, "uid": &m.UID, "resourceVersion": &m.ResourceVersion,
			"deletionTimestamp": &m.DeletionTimestamp,
			"annotations":       &annotations, "labels": &labels, "finalizers": &finalizers, "ownerReferences": &owners,
			"generateName": &generateName, "creationTimestamp": &created,
		},
		"spec": jsonscan.Wanted{
			"pipelineRef": &spec.PipelineRef, "taskRef": &spec.TaskRef, "customRef": &spec.CustomRef,
		},
		"status": jsonscan.Wanted{"conditions": &conditions, "podName": &s.Attempt.PodName, "steps": &steps,
			"sidecars": &sidecars},
	}.Read(object)
	if err != nil {
		return err
	}
	m.Annotations = initialEventsEnd(annotations)
	for _, c := range conditions {
		s.Finished = s.Finished || c.Type == "Succeeded" && c.Status != "Unknown"
	}
	whole := run.Run{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, UID: m.UID, Annotations: annotations,
		Finalizers: finalizers, OwnerReferences: owners}}
	s.Protected, s.Archived, s.OptedOut = whole.Protected(), whole.Archived(), whole.OptedOut()
	s.Foreign, s.owned = len(whole.ForeignMarks()) > 0, whole.Owned()
	s.Class = labels[run.ClassLabel]
	if s.Archived && !s.owned && m.DeletionTimestamp.IsZero() {
		s.Stays = &stay.Run{
			Namespace: m.Namespace, Name: m.Name, UID: m.UID, Created: created.Time, Archived: whole.ArchivedAt(),
			Labels: labels,
			Of:     stay.Of(spec.Name(labels), generateName),
		}
		for _, c := range conditions {
			if c.Type == "Succeeded" {
				s.Stays.Outcome = manifest.Outcome(c.Status, c.Reason)
			}
		}
	}
	s.Parents, s.created = whole.Parents(), created.Time
	for _, uid := range whole.Owners() {
		s.owners = append(s.owners, memberOf(uid))
	}
	if s.Size, s.Object = len(object), object; s.Finished {
		s.Attempt = run.Attempt{}
		return nil
	}
	for raw, containers := range map[*json.RawMessage]*[]run.Part{&steps: &s.Attempt.Steps,
		&sidecars: &s.Attempt.Sidecars} {
		if *raw != nil {
			err = errors.Join(err, json.Unmarshal(*raw, containers))
		}
	}
	return err
}

// initialEventsEnd keeps only the annotation that marks the end of a watch's initial events.
func initialEventsEnd(annotations map[string]string) map[string]string {
	if v, ok := annotations[metav1.InitialEventsAnnotationKey]; ok {
		return map[string]string{metav1.InitialEventsAnnotationKey: v}
	}
	return nil
}

// Reference returns the run's kind, namespace and name.
func (s *Run) Reference() run.Reference {
	return run.Reference{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
}

// RunList is a list from an API server that cannot stream one.
type RunList struct {
	metav1.TypeMeta
	metav1.ListMeta `json:"metadata"`
	Items           []Run `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *RunList) DeepCopyObject() runtime.Object { c := *l; return &c }

// UnmarshalJSON drops the objects' JSON, which only deleted runs need.
func (l *RunList) UnmarshalJSON(data []byte) error {
	type plain RunList
	if err := json.Unmarshal(data, (*plain)(l)); err != nil {
		return err
	}
	for i := range l.Items {
		l.Items[i].Object = nil
	}
	return nil
}

// EventList is the same for events.
type EventList struct {
	metav1.TypeMeta
	metav1.ListMeta `json:"metadata"`
	Items           []Event `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *EventList) DeepCopyObject() runtime.Object { c := *l; return &c }
