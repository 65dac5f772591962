package archiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// sighting is what the watch shows of a run, reduced to what decides whether something is to be done: a hundred thousand of them are
// in memory at a time when the archiver starts. The metadata has name, namespace, UID, resource version and what else is here.
type sighting struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	finished, protected, released, optedOut bool
	// foreign says that it carries another run's marks, owned that it leaves the cluster with its owner.
	foreign, owned bool
	class          string
	// stays is what decides how long a released run stays in the cluster, if it does not leave with another one, and policy decides
	// (judge). Where nothing does it is nil.
	stays  *stay.Run
	policy *stay.Policy
	// parents are the owners' UIDs, for those who wait for this run.
	parents []Reference
	attempt attempt
	// size is the object's, in bytes. object is its text: it is dropped unless the run was deleted.
	size   int
	object []byte
}

// DeepCopyObject implements runtime.Object. Nobody changes a sighting.
func (s *sighting) DeepCopyObject() runtime.Object { c := *s; return &c }

// UnmarshalJSON reads what the API server sends.
func (s *sighting) UnmarshalJSON(data []byte) error { return s.read(bytes.Clone(data)) }

// read reads a run from a text that is its own from here on.
func (s *sighting) read(text []byte) error {
	m := &s.ObjectMeta
	var annotations, labels map[string]string
	var finalizers []string
	var owners []metav1.OwnerReference
	var conditions []struct{ Type, Status, Reason string }
	var generateName string
	var created metav1.Time
	var spec references
	var steps, sidecars json.RawMessage
	err := jsonscan.Wanted{
		"apiVersion": &s.APIVersion, "kind": &s.Kind,
		"metadata": jsonscan.Wanted{
			"name": &m.Name, "namespace": &m.Namespace, "uid": &m.UID, "resourceVersion": &m.ResourceVersion, "deletionTimestamp": &m.DeletionTimestamp,
			"annotations": &annotations, "labels": &labels, "finalizers": &finalizers, "ownerReferences": &owners,
			"generateName": &generateName, "creationTimestamp": &created,
		},
		"spec":   jsonscan.Wanted{"pipelineRef": &spec.PipelineRef, "taskRef": &spec.TaskRef, "customRef": &spec.CustomRef},
		"status": jsonscan.Wanted{"conditions": &conditions, "podName": &s.attempt.PodName, "steps": &steps, "sidecars": &sidecars},
	}.Read(text)
	if err != nil {
		return err
	}
	m.Annotations = initialEventsEnd(annotations)
	for _, c := range conditions {
		s.finished = s.finished || c.Type == "Succeeded" && c.Status != "Unknown"
	}
	whole := run{ObjectMeta: metav1.ObjectMeta{UID: m.UID, Annotations: annotations, Finalizers: finalizers, OwnerReferences: owners}}
	s.protected, s.released, s.optedOut = whole.protected(), whole.released(), whole.optedOut()
	s.foreign, s.owned = len(whole.foreignMarks()) > 0, whole.owned()
	s.class = labels[ClassLabel]
	if s.released && !s.owned && m.DeletionTimestamp.IsZero() {
		s.stays = &stay.Run{
			Namespace: m.Namespace, Name: m.Name, UID: m.UID, Created: created.Time, Archived: whole.archivedAt(), Labels: labels,
			Of: stay.Of(spec.name(labels), generateName),
		}
		for _, c := range conditions {
			if c.Type == "Succeeded" {
				s.stays.Outcome = manifest.Outcome(c.Status, c.Reason)
			}
		}
	}
	for _, owner := range owners {
		if owner.Kind == pipelineRunKind && strings.HasPrefix(owner.APIVersion, Resources[0].Group+"/") {
			s.parents = append(s.parents, Reference{Kind: pipelineRunKind, Namespace: m.Namespace, Name: owner.Name})
		}
	}
	if s.size, s.object = len(text), text; s.finished {
		s.attempt = attempt{}
		return nil
	}
	for text, shares := range map[*json.RawMessage]*[]part{&steps: &s.attempt.Steps, &sidecars: &s.attempt.Sidecars} {
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

func (s *sighting) reference() Reference {
	return Reference{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
}

// sightings is a list as an API server sends it that cannot stream one.
type sightings struct {
	metav1.TypeMeta
	metav1.ListMeta `json:"metadata"`
	Items           []sighting `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *sightings) DeepCopyObject() runtime.Object { c := *l; return &c }

// UnmarshalJSON drops what only a deleted run is wanted for.
func (l *sightings) UnmarshalJSON(data []byte) error {
	type plain sightings
	if err := json.Unmarshal(data, (*plain)(l)); err != nil {
		return err
	}
	for i := range l.Items {
		l.Items[i].object = nil
	}
	return nil
}

// eventSightings is the same of events.
type eventSightings struct {
	metav1.TypeMeta
	metav1.ListMeta `json:"metadata"`
	Items           []eventSighting `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *eventSightings) DeepCopyObject() runtime.Object { c := *l; return &c }
