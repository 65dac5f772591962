package observed

import (
	"bytes"
	"container/list"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// Events has the events about runs and pods that the API server has, by default those of the last
// hour, from a watch. The API server has no index of events by object, so asking for one run's
// costs it a scan of the namespace's.
//
// Whoever may create events in a namespace decides which object they name and how large they are.
// So an event counts only for an object of its own namespace, one over maxEvent bytes is dropped,
// and so are, when all exceed limit, the oldest of the namespace with the most. Dropped events are
// not archived, and are counted.
type Events struct {
	mu sync.Mutex
	// byObject has the events by object, and then by name.
	byObject map[eventObject]map[string]*Event
	// pods has the UIDs of the pods that events are about, by pod name.
	pods map[types.NamespacedName]map[types.UID]struct{}
	// archived and archivedBefore have the objects whose later events are not kept, as their run is
	// archived: those of the current period of forgetAfter, and of the one before.
	archived, archivedBefore map[eventObject]struct{}
	turned                   time.Time
	// queues has the events by namespace, elements their positions in there by name.
	queues   map[string]*eventQueue
	elements map[types.NamespacedName]*list.Element
	// bytes of all events; limit is the maximum.
	bytes, limit int
	dropped      func(reason string)
	// listed bounds the first list while the reflector collects it, nil otherwise. Events of it
	// that do not fit are cleared.
	listed *Events
	// changed is closed and replaced whenever an event arrives.
	changed chan struct{}
	// synced: all events of the first list are known; known is closed then.
	synced bool
	known  chan struct{}
}

// eventObject is the object of an event, in the event's namespace.
type eventObject struct {
	namespace string
	uid       types.UID
}

// eventQueue has the events of a namespace, oldest first.
type eventQueue struct {
	list.List
	bytes int
}

const (
	// maxEvent is far above regular events: a message in events.k8s.io has at most 1 KiB.
	maxEvent = 32 << 10
	// maxEvents holds some 20,000 regular events, and is a quarter of the archiver's memory in
	// config/archive (GOMEMLIMIT).
	maxEvents = 32 << 20
	// eventOverhead is about what an event takes besides its JSON.
	eventOverhead = 768
	// maxUID is longer than any UID of the API server; an event may contain anything.
	maxUID = 64
	// forgetAfter is how long API servers keep events by default.
	forgetAfter = time.Hour
)

const podKind = "Pod"

// eventBookkeeping are fields of an event's metadata that mean nothing once the API server has
// deleted it, and that differ in every event, so do not compress. Together with the involved
// object's resourceVersion they would be a fifth of an archived run with its events.
var eventBookkeeping = []string{"uid", "resourceVersion"}

// Reasons to drop an event, as values of a metric's label.
const (
	eventTooLarge = "size"
	eventsFull    = "memory"
)

// DropReasons are all of them.
var DropReasons = []string{eventTooLarge, eventsFull}

// NewEvents returns an empty Events. It calls dropped with one of DropReasons for each dropped
// event.
func NewEvents(dropped func(reason string)) *Events {
	e := &Events{limit: maxEvents, known: make(chan struct{}), dropped: dropped}
	e.reset()
	return e
}

func (e *Events) reset() {
	e.byObject = map[eventObject]map[string]*Event{}
	e.pods = map[types.NamespacedName]map[types.UID]struct{}{}
	e.elements = map[types.NamespacedName]*list.Element{}
	e.queues = map[string]*eventQueue{}
	e.bytes, e.listed = 0, nil
	e.changed = make(chan struct{})
}

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
	// Raw is nil for a dropped event. large: it was dropped because of its size.
	Raw   json.RawMessage
	large bool
}

// DeepCopyObject implements runtime.Object. An observed object is never changed.
func (s *Event) DeepCopyObject() runtime.Object { c := *s; return &c }

// UnmarshalJSON reads a copy of data.
func (s *Event) UnmarshalJSON(data []byte) error { return s.Read(bytes.Clone(data)) }

// Read reads an event from its JSON, which it keeps.
func (s *Event) Read(object []byte) error {
	m := &s.ObjectMeta
	var annotations map[string]string
	var created, first metav1.Time
	var at metav1.MicroTime
	err := jsonscan.Wanted{
		"apiVersion": &s.APIVersion, "kind": &s.Kind,
		"metadata": jsonscan.Wanted{
			"name": &m.Name, "namespace": &m.Namespace, "uid": &m.UID, "resourceVersion": &m.ResourceVersion,
			"annotations": &annotations, "creationTimestamp": &created,
		},
		"involvedObject": jsonscan.Wanted{"kind": &s.kind, "name": &s.name, "uid": &s.About, "namespace": &s.in},
		"reason":         &s.Reason, "firstTimestamp": &first, "eventTime": &at,
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
	if s.kind != podKind && !slices.Contains(run.Kinds, s.kind) {
		s.clear()
		return nil
	}
	if s.Raw, err = run.RecordOf(object, eventBookkeeping...); err == nil {
		s.Raw, err = run.Without(s.Raw, "involvedObject", "resourceVersion")
	}
	if s.large = len(s.Raw) > maxEvent; s.large {
		s.clear()
	}
	return err
}

// clear drops everything but the metadata, as the first list is collected before it is looked at.
func (s *Event) clear() {
	s.Raw, s.kind, s.name, s.About, s.in, s.Reason = nil, "", "", "", "", ""
}

// relevant reports whether the event may be about an archived run. The API server accepts an event
// with eventTime in any namespace, whatever the involved object's; controllers send it to the
// object's.
func (s *Event) relevant() bool {
	return s.Raw != nil && s.About != "" && len(s.About) <= maxUID && s.in == s.Namespace
}

func (s *Event) object() eventObject { return eventObject{s.Namespace, s.About} }

// pod is the involved object's name, if that is a pod.
func (s *Event) pod() types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.name}
}

func (s *Event) bytes() int { return len(s.Raw) + eventOverhead }

// Add adds or replaces an event.
func (e *Events) Add(s *Event) {
	if !e.wants(s) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.put(s)
	close(e.changed)
	e.changed = make(chan struct{})
}

// wants reports whether an event is to be kept, and counts one that is too large.
func (e *Events) wants(s *Event) bool {
	if s.large {
		e.dropped(eventTooLarge)
	}
	return s.relevant()
}

// put adds an event, and returns those removed to make room. It is called with mu held.
func (e *Events) put(s *Event) (removed []*Event) {
	name := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	e.remove(name)
	if e.isArchived(s.object()) {
		return nil
	}
	of := e.byObject[s.object()]
	if of == nil {
		of = map[string]*Event{}
		e.byObject[s.object()] = of
	}
	of[s.Name] = s
	if s.kind == podKind {
		if e.pods[s.pod()] == nil {
			e.pods[s.pod()] = map[types.UID]struct{}{}
		}
		e.pods[s.pod()][s.About] = struct{}{}
	}
	queue := e.queues[s.Namespace]
	if queue == nil {
		queue = &eventQueue{}
		e.queues[s.Namespace] = queue
	}
	e.elements[name] = queue.PushBack(s)
	queue.bytes += s.bytes()
	e.bytes += s.bytes()
	for e.bytes > e.limit {
		removed = append(removed, e.makeRoom())
	}
	return removed
}

// AddListed is called for each event of the first list as it arrives, since the whole list may not
// fit into memory. Events for which there is no room are cleared, so that Replace leaves them out:
// the oldest of the namespace with the most.
func (e *Events) AddListed(s *Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listed == nil {
		e.listed = &Events{limit: e.limit, dropped: e.dropped}
		e.listed.reset()
	}
	if !s.relevant() {
		return
	}
	for _, removed := range e.listed.put(s) {
		removed.clear()
	}
}

// makeRoom drops the oldest event of the namespace with the most bytes, and returns it. It is
// called with mu held.
func (e *Events) makeRoom() *Event {
	var largest *eventQueue
	for _, queue := range e.queues {
		if largest == nil || queue.bytes > largest.bytes {
			largest = queue
		}
	}
	oldest := largest.Front().Value.(*Event)
	e.remove(types.NamespacedName{Namespace: oldest.Namespace, Name: oldest.Name})
	e.dropped(eventsFull)
	return oldest
}

// Delete removes an event that was deleted.
func (e *Events) Delete(name types.NamespacedName) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(name)
}

// remove is called with mu held.
func (e *Events) remove(name types.NamespacedName) {
	element, ok := e.elements[name]
	if !ok {
		return
	}
	queue := e.queues[name.Namespace]
	s := queue.Remove(element).(*Event)
	queue.bytes -= s.bytes()
	e.bytes -= s.bytes()
	if queue.Len() == 0 {
		delete(e.queues, name.Namespace)
	}
	delete(e.elements, name)
	of := e.byObject[s.object()]
	delete(of, name.Name)
	if len(of) > 0 {
		return
	}
	delete(e.byObject, s.object())
	if uids := e.pods[s.pod()]; s.kind == podKind {
		if delete(uids, s.About); len(uids) == 0 {
			delete(e.pods, s.pod())
		}
	}
}

// Replace sets the events to those that exist when a watch starts.
func (e *Events) Replace(all []*Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.reset()
	slices.SortStableFunc(all, func(a, b *Event) int { return a.First.Compare(b.First) })
	for _, s := range all {
		if e.wants(s) {
			e.put(s)
		}
	}
	if !e.synced {
		e.synced = true
		close(e.known)
	}
}

// Await returns when the existing events are known, or ctx has ended.
func (e *Events) Await(ctx context.Context) {
	select {
	case <-e.known:
	case <-ctx.Done():
	}
}

// About returns the events about objects of a namespace, and a channel that is closed when there
// may be more.
func (e *Events) About(namespace string, uids ...types.UID) (events []*Event, changed <-chan struct{}, synced bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, uid := range uids {
		for _, s := range e.byObject[eventObject{namespace, uid}] {
			events = append(events, s)
		}
	}
	return events, e.changed, e.synced
}

// PodsNamed returns the UIDs of pods of a name about which no event is older than since: an older
// pod of the name was another run's. All times are API servers'.
func (e *Events) PodsNamed(name types.NamespacedName, since time.Time) (uids []types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for uid := range e.pods[name] {
		older := false
		for _, s := range e.byObject[eventObject{name.Namespace, uid}] {
			older = older || s.created.Before(since)
		}
		if !older {
			uids = append(uids, uid)
		}
	}
	return uids
}

// Forget drops the events of an archived run, and those that still arrive.
func (e *Events) Forget(namespace string, uids ...types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); now.Sub(e.turned) > forgetAfter {
		e.archived, e.archivedBefore, e.turned = map[eventObject]struct{}{}, e.archived, now
	}
	for _, uid := range uids {
		for name := range e.byObject[eventObject{namespace, uid}] {
			e.remove(types.NamespacedName{Namespace: namespace, Name: name})
		}
		e.archived[eventObject{namespace, uid}] = struct{}{}
	}
}

// isArchived is called with mu held.
func (e *Events) isArchived(object eventObject) bool {
	_, now := e.archived[object]
	_, before := e.archivedBefore[object]
	return now || before
}
