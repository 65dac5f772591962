package observed

import (
	"bytes"
	"encoding/json"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// Run is what the watch shows of a run, reduced to what decides whether something is to be done: a
// hundred thousand of them are in memory at a time when the archiver starts. The metadata has name,
// namespace, UID, resource version and what else is here.
type Run struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Finished, Protected, Archived, OptedOut bool
	// Foreign says that it carries another run's marks, owned that it leaves the cluster with its
	// owner.
	Foreign, owned bool
	Class          string
	// Stays is what decides how long a released run stays in the cluster, if it does not leave with
	// another one, and policy decides (judge). Where nothing does it is nil.
	Stays  *stay.Run
	Policy *stay.Policy
	// Parents are the owners' UIDs, for those who wait for this run.
	Parents []run.Reference
	Attempt run.Attempt
	// Size is the object's, in bytes. object is its text: it is dropped unless the run was deleted.
	Size   int
	Object []byte
}

// DeepCopyObject implements runtime.Object. Nobody changes a sighting.
func (s *Run) DeepCopyObject() runtime.Object { c := *s; return &c }

// UnmarshalJSON reads what the API server sends.
func (s *Run) UnmarshalJSON(data []byte) error { return s.Read(bytes.Clone(data)) }

// Read reads a run from a text that is its own from here on.
func (s *Run) Read(text []byte) error {
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
		"spec": jsonscan.Wanted{"pipelineRef": &spec.PipelineRef, "taskRef": &spec.TaskRef, "customRef": &spec.CustomRef},
		"status": jsonscan.Wanted{"conditions": &conditions, "podName": &s.Attempt.PodName, "steps": &steps,
			"sidecars": &sidecars},
	}.Read(text)
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
	s.Parents = whole.Parents()
	if s.Size, s.Object = len(text), text; s.Finished {
		s.Attempt = run.Attempt{}
		return nil
	}
	for text, shares := range map[*json.RawMessage]*[]run.Part{&steps: &s.Attempt.Steps, &sidecars: &s.Attempt.Sidecars} {
		if *text != nil {
			err = errors.Join(err, json.Unmarshal(*text, shares))
		}
	}
	return err
}

// initialEventsEnd keeps the annotation with which the API server says that a watch has caught up.
func initialEventsEnd(annotations map[string]string) map[string]string {
	if v, ok := annotations[metav1.InitialEventsAnnotationKey]; ok {
		return map[string]string{metav1.InitialEventsAnnotationKey: v}
	}
	return nil
}

// Reference names the run.
func (s *Run) Reference() run.Reference {
	return run.Reference{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
}

// RunList is a list as an API server sends it that cannot stream one.
type RunList struct {
	metav1.TypeMeta
	metav1.ListMeta `json:"metadata"`
	Items           []Run `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *RunList) DeepCopyObject() runtime.Object { c := *l; return &c }

// UnmarshalJSON drops what only a deleted run is wanted for.
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

// EventList is the same of events.
type EventList struct {
	metav1.TypeMeta
	metav1.ListMeta `json:"metadata"`
	Items           []Event `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *EventList) DeepCopyObject() runtime.Object { c := *l; return &c }
