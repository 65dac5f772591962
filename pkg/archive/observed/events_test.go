package observed

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// event returns an event in a namespace about an object of that namespace, with a message of n
// bytes.
func event(t *testing.T, namespace, name, in, uid string, n int) *Event {
	t.Helper()
	s := &Event{}
	text := fmt.Sprintf(
		`{"metadata":{"namespace":%q,"name":%q},"involvedObject":{"kind":"TaskRun","namespace":%q,"uid":%q},"reason":"Succeeded","message":%q}`,
		namespace, name, in, uid, strings.Repeat("m", n))
	if err := s.Read([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRecentEvents(t *testing.T) {
	const roomFor = 10 // events of no message
	for name, tc := range map[string]struct {
		events func(t *testing.T) []*Event
		// want are the names of the events about the run with UID run in namespace team.
		want    string
		dropped string
	}{
		"keep an event in the run's namespace": {
			func(t *testing.T) []*Event {
				return []*Event{event(t, "team", "a", "team", "run", 1024)}
			},
			"a", "",
		},
		"leave out one in another namespace that names the run's UID": {
			func(t *testing.T) []*Event {
				return []*Event{event(t, "other", "a", "other", "run", 0)}
			}, "", "",
		},
		"leave out one in another namespace that names the run's namespace, too": {
			func(t *testing.T) []*Event {
				return []*Event{event(t, "other", "a", "team", "run", 0)}
			}, "", "",
		},
		"leave out one in the run's namespace about an object of another": {
			func(t *testing.T) []*Event {
				return []*Event{event(t, "team", "a", "other", "run", 0)}
			}, "", "",
		},
		"leave out one over 32 KiB, and count it": {
			func(t *testing.T) []*Event {
				return []*Event{event(t, "team", "a", "team", "run", 33<<10), event(t, "team", "b", "team", "run", 0)}
			}, "b", "size",
		},
		"keep the last state of one that changes": {
			func(t *testing.T) (events []*Event) {
				for range 3 * roomFor {
					events = append(events, event(t, "team", "a", "team", "run", 0))
				}
				return events
			}, "a", "",
		},
		"drop the oldest of a namespace that has most, and count them": {
			func(t *testing.T) []*Event {
				events := []*Event{event(t, "team", "a", "team", "run", 0), event(t, "team", "b", "team", "run", 0)}
				for i := range roomFor {
					events = append(events, event(t, "other", fmt.Sprint(i), "other", "run", 0))
				}
				return events
			}, "a b", "memory memory",
		},
		"drop the run's own where its namespace has most": {
			func(t *testing.T) (events []*Event) {
				events = append(events, event(t, "other", "a", "other", "run", 0))
				for i := range roomFor {
					events = append(events, event(t, "team", fmt.Sprint(i), "team", "run", 0))
				}
				return events
			}, "1 2 3 4 5 6 7 8 9", "memory",
		},
	} {
		for how, fill := range map[string]func(*Events, []*Event){
			"one by one": func(e *Events, all []*Event) {
				for _, s := range all {
					e.Add(s)
				}
			},
			"as a list": (*Events).Replace,
			"as a list that streams": func(e *Events, all []*Event) {
				collected := map[string]*Event{} // as the reflector does
				for _, s := range all {
					e.AddListed(s)
					collected[s.Namespace+"/"+s.Name] = s
				}
				kept := 0
				for _, s := range collected {
					if s.relevant() {
						kept += s.bytes()
					}
				}
				if kept > e.limit {
					t.Errorf("the list has %d bytes, more than %d", kept, e.limit)
				}
				e.Replace(slices.Collect(maps.Values(collected)))
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				var dropped []string
				e := NewEvents(func(string) {})
				e.limit = roomFor * event(t, "other", "a", "other", "run", 0).bytes()
				e.limit += e.limit / roomFor / 2 // names differ in length
				e.dropped = func(reason string) { dropped = append(dropped, reason) }
				fill(e, tc.events(t))
				found, _, _ := e.About("team", "run")
				slices.SortFunc(found, func(a, b *Event) int { return cmp.Compare(a.Name, b.Name) })
				var names []string
				for _, s := range found {
					names = append(names, s.Name)
				}
				if got := strings.Join(names, " "); got != tc.want {
					t.Errorf("events %q, want %q", got, tc.want)
				}
				if got := strings.Join(dropped, " "); got != tc.dropped {
					t.Errorf("dropped for %q, want %q", got, tc.dropped)
				}
			})
		}
	}
}

// Nothing remains of a deleted event.
func TestRecentEventsThatAreGone(t *testing.T) {
	e := NewEvents(func(string) {})
	e.Add(event(t, "team", "a", "team", "run", 100))
	e.Add(event(t, "team", "b", "team", "run", 100))
	e.Add(event(t, "team", "c", "team", "pod", 100))
	e.Delete(types.NamespacedName{Namespace: "team", Name: "c"})
	e.Forget("other", "run")
	if found, _, _ := e.About("team", "run"); len(found) != 2 {
		t.Errorf("%d events, want 2", len(found))
	}
	e.Forget("team", "run")
	if e.bytes != 0 || len(e.byObject)+len(e.elements)+len(e.queues) != 0 {
		t.Errorf("left: %d bytes, %v, %v, %v", e.bytes, e.byObject, e.elements, e.queues)
	}
}

// Pods are found by name, without earlier pods of the name; events that arrive after Forget are
// dropped.
func TestRecentEventsOfPods(t *testing.T) {
	const name = "build-pod"
	pod := func(event, uid, created string) *Event {
		s := &Event{}
		text := fmt.Sprintf(
			`{"metadata":{"namespace":"team","name":%q,"creationTimestamp":%q},"involvedObject":{"kind":"Pod","namespace":"team","name":%q,"uid":%q}}`,
			event, created, name, uid)
		if err := s.Read([]byte(text)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	since := time.Date(2026, 11, 20, 10, 42, 11, 0, time.UTC)
	e := NewEvents(func(string) {})
	e.Add(pod("a", "old", "2026-11-20T10:42:10Z"))
	e.Add(pod("b", "old", "2026-11-20T10:42:12Z"))
	e.Add(pod("c", "new", "2026-11-20T10:42:11Z"))
	e.Add(pod("d", "new", "2026-11-20T10:42:13Z"))
	want := func(when string, uids ...types.UID) {
		t.Helper()
		if got := e.PodsNamed(types.NamespacedName{Namespace: "team", Name: name}, since); !slices.Equal(got, uids) {
			t.Errorf("%s: %q, want %q", when, got, uids)
		}
	}
	want("an older one was another run's", "new")
	if got := e.PodsNamed(types.NamespacedName{Namespace: "other", Name: name}, since); len(got) > 0 {
		t.Errorf("another namespace's: %q", got)
	}
	e.Forget("team", "new")
	want("after the run is archived")
	e.Add(pod("e", "new", "2026-11-20T10:42:14Z"))
	want("after a late event")
	other := pod("f", "new", "2026-11-20T10:42:15Z")
	other.Namespace, other.in = "other", "other"
	e.Add(other)
	if found, _, _ := e.About("other", "new"); len(found) != 1 {
		t.Error("what one namespace has archived keeps another's events away")
	}
	e.Forget("other", "new")
	e.Add(pod("g", strings.Repeat("u", 65), "2026-11-20T10:42:15Z"))
	e.Forget("team", "old")
	if e.bytes != 0 || len(e.byObject)+len(e.pods)+len(e.elements)+len(e.queues) != 0 {
		t.Errorf("left: %d bytes, %v, %v", e.bytes, e.byObject, e.pods)
	}
}

// The API server's bookkeeping is not archived; everything else is, unchanged.
func TestEventBookkeeping(t *testing.T) {
	const event = `{"metadata":{"name":"n","uid":"a","resourceVersion":"1"},"involvedObject":{"kind":"Pod","uid":"b","resourceVersion":"2"},"count":1}`
	const want = `{"metadata":{"name":"n"},"involvedObject":{"kind":"Pod","uid":"b"},"count":1}`
	s := &Event{}
	if err := s.Read([]byte(event)); err != nil || string(s.Raw) != want {
		t.Errorf("got %s, %v; want %s", s.Raw, err, want)
	}
}

// An event is archived unchanged.
func TestEventThatIsNoJSON(t *testing.T) {
	const event = `{"metadata":{"managedFields":[]},"involvedObject":{"kind":"Pod"},"x":VALUE}`
	for value, fine := range map[string]bool{`1`: true, `[}`: false, `1x`: false} {
		s := &Event{}
		if err := s.Read([]byte(strings.ReplaceAll(event, "VALUE", value))); (err == nil) != fine || err == nil &&
			s.Raw == nil {
			t.Errorf("with %s: %q, %v", value, s.Raw, err)
		}
	}
}
