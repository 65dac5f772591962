package observed

import (
	"encoding/json"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

const (
	// maxEvent is far above regular events: a message in events.k8s.io has at most 1 KiB.
	maxEvent = 32 << 10
	// eventOverhead is about what an event takes besides its texts, if it is the only one about its
	// object (TestWhatEventsTake).
	eventOverhead = 1408
	// maxUID is longer than any UID of the API server; an event may contain anything.
	maxUID = 64
)

const podKind = "Pod"

// eventBookkeeping are fields of an event's metadata that mean nothing once the API server has
// deleted it, and that differ in every event, so do not compress. Together with the involved
// object's resourceVersion they would be a fifth of an archived run with its events.
var eventBookkeeping = []string{"uid", "resourceVersion"}

// Event is an event from the watch, without managedFields, with the fields that are used.
type Event struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	About types.UID
	// in is the involved object's namespace, according to the event.
	in   string
	kind string
	// name of the involved object.
	name   string
	Reason string
	First  time.Time
	// created is the event's creationTimestamp.
	created time.Time
	// Raw is nil for an event that is not kept. large: because of its size.
	Raw   json.RawMessage
	large bool
}

// eventObject is the object of an event, in the event's namespace.
type eventObject struct {
	namespace string
	uid       types.UID
}

// DeepCopyObject implements runtime.Object. An observed object is never changed.
func (s *Event) DeepCopyObject() runtime.Object { c := *s; return &c }

// Read reads an event from its JSON, which it keeps. Only metadata of a wrong type are an error,
// which the API server lets nobody write. It checks no time of an event, and returns some that are
// none (run.Time).
func (s *Event) Read(object []byte) error {
	m := &s.ObjectMeta
	var annotations map[string]string
	var created metav1.Time
	var first, at run.Time
	err := jsonscan.Wanted{
		"apiVersion": &s.APIVersion, "kind": &s.Kind,
		"metadata": jsonscan.Wanted{
			"name": &m.Name, "namespace": &m.Namespace, "uid": &m.UID, "resourceVersion": &m.ResourceVersion,
			"annotations": &annotations, "creationTimestamp": &created,
		},
		"involvedObject": jsonscan.Lenient{To: jsonscan.Wanted{
			"kind": &s.kind, "name": &s.name, "uid": &s.About, "namespace": &s.in,
		}},
		"reason":         jsonscan.Lenient{To: &s.Reason},
		"firstTimestamp": &first, "eventTime": &at,
	}.Read(object)
	if err != nil {
		return err
	}
	m.Annotations = initialEventsEnd(annotations)
	s.created = created.Time
	for _, t := range []time.Time{first.Time, at.Time, created.Time} {
		if s.First = t; !t.IsZero() {
			break
		}
	}
	return s.readRaw(object)
}

// readRaw sets Raw, if the event is about a run or a pod and not too large.
func (s *Event) readRaw(object []byte) error {
	if s.kind != podKind && !slices.Contains(run.Kinds, s.kind) {
		return nil
	}
	raw, err := run.RecordOf(object, eventBookkeeping...)
	if err == nil {
		raw, err = run.Without(raw, "involvedObject", "resourceVersion")
	}
	if s.large = len(raw) > maxEvent; err == nil && !s.large {
		s.Raw = raw
	}
	return err
}

// relevant reports whether the event may be about an archived run. The API server accepts an event
// with eventTime in any namespace, whatever the involved object's; controllers send it to the
// object's.
func (s *Event) relevant() bool {
	return s.Raw != nil && s.About != "" && len(s.About) <= maxUID && s.in == s.Namespace
}

func (s *Event) object() eventObject { return eventObject{s.Namespace, s.About} }

// itself is the event's own name.
func (s *Event) itself() types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
}

// pod is the involved object's name, if that is a pod.
func (s *Event) pod() types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.name}
}

// bytes is what the event takes. Its texts are in Raw and decoded as well, and may be of any length
// each; memory comes in sizes that are up to an eighth larger.
func (s *Event) bytes() int {
	texts := len(s.Name) + len(s.Namespace) + len(s.UID) + len(s.ResourceVersion) + len(s.About) + len(s.in) +
		len(s.name) + len(s.Reason)
	return cap(s.Raw) + texts + texts/8 + eventOverhead
}
