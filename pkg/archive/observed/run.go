package observed

import (
	"encoding/json"
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

// Read reads a run from its JSON, which it keeps. Only metadata of a wrong type are an error, which
// the API server lets nobody write; spec and status may have anything anywhere.
func (s *Run) Read(object []byte) error {
	m := &s.ObjectMeta
	var annotations, labels map[string]string
	var finalizers []string
	var owners []metav1.OwnerReference
	var conditions []run.Condition
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
		"spec": jsonscan.Lenient{To: jsonscan.Wanted{
			"pipelineRef": &spec.PipelineRef, "taskRef": &spec.TaskRef, "customRef": &spec.CustomRef,
		}},
		"status": jsonscan.Lenient{To: jsonscan.Wanted{"conditions": &conditions, "podName": &s.Attempt.PodName,
			"steps": &steps, "sidecars": &sidecars}},
	}.Read(object)
	if err != nil {
		return err
	}
	m.Annotations = initialEventsEnd(annotations)
	succeeded := run.Succeeded(conditions)
	s.Finished = succeeded.Decided()
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
		if succeeded != nil {
			s.Stays.Outcome = manifest.Outcome(succeeded.Status, succeeded.Reason)
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
	// What is of a wrong type stays zero, as in the rest of the status.
	_ = json.Unmarshal(steps, &s.Attempt.Steps)
	_ = json.Unmarshal(sidecars, &s.Attempt.Sidecars)
	return nil
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
