package archiver

import (
	"encoding/json"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// sighting is what the watch shows of a run, reduced to what decides whether something is to be done: a hundred thousand of them are
// in memory at a time when the archiver starts. The metadata has name, namespace, UID, resource version and what else is here.
type sighting struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	finished, protected, released, optedOut bool
	class                                   string
	// archivedAt is when a released run was committed.
	archivedAt time.Time
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
func (s *sighting) UnmarshalJSON(data []byte) error {
	var known struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        struct {
			Name              string                  `json:"name"`
			Namespace         string                  `json:"namespace"`
			UID               types.UID               `json:"uid"`
			ResourceVersion   string                  `json:"resourceVersion"`
			Annotations       map[string]string       `json:"annotations"`
			Labels            map[string]string       `json:"labels"`
			Finalizers        []string                `json:"finalizers"`
			DeletionTimestamp *metav1.Time            `json:"deletionTimestamp"`
			OwnerReferences   []metav1.OwnerReference `json:"ownerReferences"`
		} `json:"metadata"`
		Status struct {
			attempt    `json:",inline"`
			Conditions []struct {
				Type   string `json:"type"`
				Status string `json:"status"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if err := json.Unmarshal(data, &known); err != nil {
		return err
	}
	m := &known.Metadata
	s.TypeMeta = known.TypeMeta
	s.ObjectMeta = metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		DeletionTimestamp: m.DeletionTimestamp, Annotations: initialEventsEnd(m.Annotations),
	}
	for _, c := range known.Status.Conditions {
		s.finished = s.finished || c.Type == "Succeeded" && c.Status != "Unknown"
	}
	whole := run{ObjectMeta: metav1.ObjectMeta{Annotations: m.Annotations, Finalizers: m.Finalizers}}
	s.protected, s.released, s.optedOut = whole.protected(), released(&whole), whole.optedOut()
	s.archivedAt, s.class = whole.archivedAt(), m.Labels[ClassLabel]
	for _, owner := range m.OwnerReferences {
		if owner.Kind == pipelineRunKind && strings.HasPrefix(owner.APIVersion, Resources[0].Group+"/") {
			s.parents = append(s.parents, Reference{Kind: pipelineRunKind, Namespace: m.Namespace, Name: owner.Name})
		}
	}
	if !s.finished {
		s.attempt = known.Status.attempt
	}
	s.size, s.object = len(data), append([]byte(nil), data...)
	return nil
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
