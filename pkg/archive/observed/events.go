package observed

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
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
	byObject map[eventObject]map[string]*queuedEvent
	// pods counts the events about pods by pod name and UID: those of one UID may name several pods.
	pods map[types.NamespacedName]map[types.UID]int
	// archived and archivedBefore have the objects whose later events are not kept, as their run is
	// archived: those of the current period of forgetAfter, and of the one before.
	archived, archivedBefore map[eventObject]struct{}
	turned                   time.Time
	// byName has all events, and queues the order in which they are dropped.
	byName map[types.NamespacedName]*queuedEvent
	queues eventQueues
	// added counts events, and lists the lists of all events that have begun.
	added, lists int
	// bytes of all events; limit is the maximum.
	bytes, limit int
	dropped      func(reason string)
	// changed is closed and replaced whenever an event arrives.
	changed chan struct{}
	// synced: all events of the first list are known; known is closed then. gaveUp: somebody has
	// awaited that for too long.
	synced, gaveUp bool
	known          chan struct{}
}

const (
	// maxEvents holds some 13,000 regular events, and is a quarter of the archiver's memory in
	// config/archive (GOMEMLIMIT).
	maxEvents = 32 << 20
	// forgetAfter is how long API servers keep events by default.
	forgetAfter = time.Hour
)

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
	return &Events{
		limit: maxEvents, dropped: dropped, known: make(chan struct{}), changed: make(chan struct{}),
		byObject: map[eventObject]map[string]*queuedEvent{},
		pods:     map[types.NamespacedName]map[types.UID]int{},
		byName:   map[types.NamespacedName]*queuedEvent{},
		queues:   eventQueues{by: map[string]*eventQueue{}},
	}
}

// Add adds or replaces an event.
func (e *Events) Add(s *Event) {
	if e.AddListed(s) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.tellOfChange()
	}
}

// BeginList is called when a list of all events begins, which may be one that starts over. Until
// EndList, the events of before stay.
func (e *Events) BeginList() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists++
}

// AddListed adds an event of a list as it arrives, since all of them may not fit into memory. It
// reports whether the event is one to keep.
func (e *Events) AddListed(s *Event) bool {
	if s.large {
		e.dropped(eventTooLarge)
	}
	if !s.relevant() {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.put(s)
	return true
}

// EndList is called when the list is complete: events that are not in it no longer exist.
func (e *Events) EndList() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, s := range e.byName {
		if s.list < e.lists {
			e.remove(name)
		}
	}
	if !e.synced {
		e.synced = true
		close(e.known)
	}
	e.tellOfChange()
}

// tellOfChange is called with mu held.
func (e *Events) tellOfChange() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// put adds an event, and drops others if there is no room. It is called with mu held.
func (e *Events) put(s *Event) {
	e.remove(s.itself())
	if e.isArchived(s.object()) {
		return
	}
	e.added++
	q := &queuedEvent{Event: s, added: e.added, list: e.lists}
	of := e.byObject[s.object()]
	if of == nil {
		of = map[string]*queuedEvent{}
		e.byObject[s.object()] = of
	}
	of[s.Name], e.byName[s.itself()] = q, q
	if s.kind == podKind {
		if e.pods[s.pod()] == nil {
			e.pods[s.pod()] = map[types.UID]int{}
		}
		e.pods[s.pod()][s.About]++
	}
	e.queues.add(q)
	e.bytes += s.bytes()
	for e.bytes > e.limit {
		e.remove(e.queues.oldestOfMost().itself())
		e.dropped(eventsFull)
	}
}

// Delete removes an event that was deleted.
func (e *Events) Delete(name types.NamespacedName) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(name)
}

// remove is called with mu held.
func (e *Events) remove(name types.NamespacedName) {
	s, ok := e.byName[name]
	if !ok {
		return
	}
	e.queues.remove(s)
	e.bytes -= s.bytes()
	delete(e.byName, name)
	of := e.byObject[s.object()]
	if delete(of, name.Name); len(of) == 0 {
		delete(e.byObject, s.object())
	}
	if s.kind != podKind {
		return
	}
	uids := e.pods[s.pod()]
	if uids[s.About]--; uids[s.About] == 0 {
		delete(uids, s.About)
	}
	if len(uids) == 0 {
		delete(e.pods, s.pod())
	}
}

// Await returns when the existing events are known, ctx has ended, or after patience. It reports
// whether they are known.
func (e *Events) Await(ctx context.Context, patience time.Duration) bool {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-e.known:
		return true
	case <-ctx.Done():
		return false
	case <-timeout.C:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gaveUp = !e.synced
	return e.synced
}

// GaveUp reports whether the existing events are not known, and nobody waits for them any more.
func (e *Events) GaveUp() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gaveUp && !e.synced
}

// About returns the events about objects of a namespace, and a channel that is closed when there
// may be more.
func (e *Events) About(namespace string, uids ...types.UID) (events []*Event, changed <-chan struct{}, synced bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, uid := range uids {
		for _, s := range e.byObject[eventObject{namespace, uid}] {
			events = append(events, s.Event)
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
