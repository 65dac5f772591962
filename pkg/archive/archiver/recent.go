package archiver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// recentEvents are the events about runs and pods that the API server has, an hour's by default, as a watch brings them: the API
// server has no index of events, so that to ask it for one run's costs it a look at all of the namespace's.
type recentEvents struct {
	mu sync.Mutex
	// byObject has the events by the UID of what they are about, and name in there.
	byObject map[types.UID]map[types.NamespacedName]*eventSighting
	objects  map[types.NamespacedName]types.UID
	// changed is closed and made anew whenever an event comes.
	changed chan struct{}
	// synced says that all events of the time before are there; known is closed then.
	synced bool
	known  chan struct{}
}

func newRecentEvents() *recentEvents {
	e := &recentEvents{known: make(chan struct{})}
	e.reset()
	return e
}

func (e *recentEvents) reset() {
	e.byObject = map[types.UID]map[types.NamespacedName]*eventSighting{}
	e.objects = map[types.NamespacedName]types.UID{}
	e.changed = make(chan struct{})
}

// eventSighting is an event as the watch gave it, without managedFields, and what is looked at of it.
type eventSighting struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	about  types.UID
	kind   string
	reason string
	first  time.Time
	raw    json.RawMessage
}

// DeepCopyObject implements runtime.Object. Nobody changes a sighting.
func (s *eventSighting) DeepCopyObject() runtime.Object { c := *s; return &c }

// UnmarshalJSON keeps the text.
func (s *eventSighting) UnmarshalJSON(data []byte) error { return s.read(bytes.Clone(data)) }

// read reads an event from a text that is its own from here on.
func (s *eventSighting) read(text []byte) error {
	m := &s.ObjectMeta
	var annotations map[string]string
	var created, first metav1.Time
	var at metav1.MicroTime
	err := wanted{
		"apiVersion": &s.APIVersion, "kind": &s.Kind,
		"metadata": wanted{
			"name": &m.Name, "namespace": &m.Namespace, "uid": &m.UID, "resourceVersion": &m.ResourceVersion,
			"annotations": &annotations, "creationTimestamp": &created,
		},
		"involvedObject": wanted{"kind": &s.kind, "uid": &s.about},
		"reason":         &s.reason, "firstTimestamp": &first, "eventTime": &at,
	}.read(text)
	if err != nil {
		return err
	}
	m.Annotations = initialEventsEnd(annotations)
	for _, t := range []time.Time{first.Time, at.Time, created.Time} {
		if s.first = t; !t.IsZero() {
			break
		}
	}
	if s.kind != "Pod" && !slices.Contains(kinds, s.kind) {
		return nil
	}
	if s.raw, err = recordOf(text); err == nil && !json.Valid(s.raw) {
		err = errors.New("no JSON")
	}
	return err
}

// relevant says whether the event can be of a run that is archived.
func (s *eventSighting) relevant() bool { return s.raw != nil && s.about != "" }

func (e *recentEvents) add(s *eventSighting) {
	if !s.relevant() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.put(s)
	close(e.changed)
	e.changed = make(chan struct{})
}

// put is called with mu held.
func (e *recentEvents) put(s *eventSighting) {
	name := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	e.remove(name)
	of := e.byObject[s.about]
	if of == nil {
		of = map[types.NamespacedName]*eventSighting{}
		e.byObject[s.about] = of
	}
	of[name] = s
	e.objects[name] = s.about
}

func (e *recentEvents) delete(name types.NamespacedName) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(name)
}

// remove is called with mu held.
func (e *recentEvents) remove(name types.NamespacedName) {
	uid, ok := e.objects[name]
	if !ok {
		return
	}
	of := e.byObject[uid]
	delete(of, name)
	delete(e.objects, name)
	if len(of) == 0 {
		delete(e.byObject, uid)
	}
}

// replace is what a new watch begins with.
func (e *recentEvents) replace(all []*eventSighting) {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.reset()
	for _, s := range all {
		if s.relevant() {
			e.put(s)
		}
	}
	if !e.synced {
		e.synced = true
		close(e.known)
	}
}

// await returns when the events of the time before are known, or ctx has ended.
func (e *recentEvents) await(ctx context.Context) {
	select {
	case <-e.known:
	case <-ctx.Done():
	}
}

// about returns the events about objects, and what is closed when there may be more.
func (e *recentEvents) about(uids ...types.UID) (events []*eventSighting, changed <-chan struct{}, synced bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, uid := range uids {
		for _, s := range e.byObject[uid] {
			events = append(events, s)
		}
	}
	return events, e.changed, e.synced
}

// forget drops what an archived run does not need any more.
func (e *recentEvents) forget(uid types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.byObject[uid] {
		e.remove(name)
	}
}
