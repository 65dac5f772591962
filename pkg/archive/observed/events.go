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

// Events are the events about runs and pods that the API server has, an hour's by default, as a
// watch brings them: the API server has no index of events, so that to ask it for one run's costs
// it a look at all of the namespace's.
//
// Who may create events in a namespace decides what they are about, and how large they are. So an
// event counts for an object of its own namespace only, one over maxEvent is not kept, and of all
// together no more than limit: then the oldest of the namespace go that has most. What is not kept
// is not in the archive, and is counted.
type Events struct {
	mu sync.Mutex
	// byObject has the events by what they are about, and name in there.
	byObject map[eventObject]map[string]*Event
	// pods has the UIDs of the pods that events are about, by their names.
	pods map[types.NamespacedName]map[types.UID]struct{}
	// archived and archivedBefore are what events came for that nobody will ask for again, of the
	// last forgetAfter and of the same before.
	archived, archivedBefore map[eventObject]struct{}
	turned                   time.Time
	// queues has the events by namespace, elements their places in there by the events' names.
	queues   map[string]*eventQueue
	elements map[types.NamespacedName]*list.Element
	// bytes are those of all events, limit is how many there may be.
	bytes, limit int
	dropped      func(reason string)
	// listed bounds the first list while the reflector collects it, nil when it does not. Only
	// there events are changed.
	listed *Events
	// changed is closed and made anew whenever an event comes.
	changed chan struct{}
	// synced says that all events of the time before are there; known is closed then.
	synced bool
	known  chan struct{}
}

// eventObject is what an event is about, in the event's namespace.
type eventObject struct {
	namespace string
	uid       types.UID
}

// eventQueue has the events of a namespace, the oldest first, and counts their bytes.
type eventQueue struct {
	list.List
	bytes int
}

const (
	// maxEvent is far above what honest events have: a message of events.k8s.io has at most 1 KiB.
	maxEvent = 32 << 10
	// maxEvents is for some 20,000 honest events, and a quarter of the memory that config/archive
	// gives the archiver (GOMEMLIMIT).
	maxEvents = 32 << 20
	// eventOverhead is about what an event costs beside its text.
	eventOverhead = 768
	// maxUID is more than any UID of the API server's has; an event may say anything.
	maxUID = 64
	// forgetAfter is how long API servers keep events by default.
	forgetAfter = time.Hour
)

const podKind = "Pod"

// eventBookkeeping are fields of an event's metadata that tell nothing about it once the API server
// has forgotten it, and that differ in every event: with the resourceVersion of the object that it
// is about they would be a fifth of what an archived run takes with its events.
var eventBookkeeping = []string{"uid", "resourceVersion"}

// Why an event is not kept.
const (
	eventTooLarge = "size"
	eventsFull    = "memory"
)

// DropReasons are all reasons for which events are not kept.
var DropReasons = []string{eventTooLarge, eventsFull}

// NewEvents begins without any. dropped is told why an event is not kept, one of DropReasons.
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

// Event is an event as the watch gave it, without managedFields, and what is looked at of it.
type Event struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	About types.UID
	// in is the namespace that the event gives for what it is about.
	in   string
	kind string
	// name is the object's.
	name   string
	Reason string
	First  time.Time
	// created is when the API server got it.
	created time.Time
	// Raw is nil for an event that is not kept. If that is for its size, large is true.
	Raw   json.RawMessage
	large bool
}

// DeepCopyObject implements runtime.Object. Nobody changes a sighting.
func (s *Event) DeepCopyObject() runtime.Object { c := *s; return &c }

// UnmarshalJSON keeps the text.
func (s *Event) UnmarshalJSON(data []byte) error { return s.Read(bytes.Clone(data)) }

// Read reads an event from a text that is its own from here on.
func (s *Event) Read(text []byte) error {
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
	}.Read(text)
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
		s.leaveOut()
		return nil
	}
	if s.Raw, err = run.RecordOf(text, eventBookkeeping...); err == nil {
		s.Raw, err = run.Without(s.Raw, "involvedObject", "resourceVersion")
	}
	if s.large = len(s.Raw) > maxEvent; s.large {
		s.leaveOut()
	}
	return err
}

// leaveOut drops all but the metadata: the first list is collected before anybody looks at it.
func (s *Event) leaveOut() {
	s.Raw, s.kind, s.name, s.About, s.in, s.Reason = nil, "", "", "", "", ""
}

// relevant says whether the event can be of a run that is archived. The API server takes an event
// with eventTime in any namespace, whatever namespace its object has; the controllers send it in
// the object's.
func (s *Event) relevant() bool {
	return s.Raw != nil && s.About != "" && len(s.About) <= maxUID && s.in == s.Namespace
}

func (s *Event) object() eventObject { return eventObject{s.Namespace, s.About} }

// pod is the one it is about, if it is about a pod.
func (s *Event) pod() types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.name}
}

func (s *Event) bytes() int { return len(s.Raw) + eventOverhead }

// Add takes an event that has come or has changed.
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

// wants counts what is relevant but for its size.
func (e *Events) wants(s *Event) bool {
	if s.large {
		e.dropped(eventTooLarge)
	}
	return s.relevant()
}

// put returns what it dropped for that. It is called with mu held.
func (e *Events) put(s *Event) (gone []*Event) {
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
		gone = append(gone, e.makeRoom())
	}
	return gone
}

// List is told each event of the first list as it comes. Those for which there is no room lose what
// they have, of the namespace with most in the order they came in, so that replace leaves them out:
// all of the list may be more than there is memory for.
func (e *Events) List(s *Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listed == nil {
		e.listed = &Events{limit: e.limit, dropped: e.dropped}
		e.listed.reset()
	}
	if !s.relevant() {
		return
	}
	for _, gone := range e.listed.put(s) {
		gone.leaveOut()
	}
}

// makeRoom drops the oldest event of the namespace whose events have most bytes, and returns it. It
// is called with mu held.
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

// Delete forgets an event that the API server has forgotten.
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

// Replace is what a new watch begins with.
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

// Await returns when the events of the time before are known, or ctx has ended.
func (e *Events) Await(ctx context.Context) {
	select {
	case <-e.known:
	case <-ctx.Done():
	}
}

// About returns the events of a namespace about objects in it, and what is closed when there may be
// more.
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

// PodsNamed returns the UIDs of pods of that name of which nothing is older than since: one before
// was another run's. All times are API servers'.
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

// Forget drops what an archived run does not need any more, and what will still come.
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
