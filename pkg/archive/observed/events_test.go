package observed

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
			"as a list": func(e *Events, all []*Event) {
				e.BeginList()
				for _, s := range all {
					e.AddListed(s)
				}
				e.EndList()
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				var dropped []string
				e := NewEvents(func(string) {})
				e.limit = roomFor * event(t, "other", "a", "other", "run", 0).bytes()
				e.limit += e.limit / roomFor / 2 // names differ in length
				e.dropped = func(reason string) { dropped = append(dropped, reason) }
				fill(e, tc.events(t))
				if e.bytes > e.limit {
					t.Errorf("%d bytes, more than %d", e.bytes, e.limit)
				}
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
	if e.bytes != 0 || len(e.byObject)+len(e.byName)+len(e.queues.by)+len(e.queues.ranked) != 0 {
		t.Errorf("left: %d bytes, %v, %v, %v", e.bytes, e.byObject, e.byName, e.queues)
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
	for i, name := range []string{name, "other-pod"} { // one UID, two names
		s := pod(fmt.Sprint("h", i), "twice", "2026-11-20T10:42:15Z")
		s.name = name
		e.Add(s)
	}
	e.Forget("team", "twice")
	e.Forget("team", "old")
	if e.bytes != 0 || len(e.byObject)+len(e.pods)+len(e.byName)+len(e.queues.by) != 0 {
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

// Anybody may write the times of an event, and the API server writes some that cannot be read.
func TestTimesOfEvents(t *testing.T) {
	created := time.Date(2026, 11, 20, 10, 42, 11, 0, time.UTC)
	stored := func(text string) string { // what the API server returns of a time that was written
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		written, err := metav1.NewTime(time.Unix(at.Unix(), 0)).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(written)
	}
	for name, test := range map[string]struct {
		first, at string
		want      time.Time
	}{
		"the first time":            {`"2026-11-20T10:42:12Z"`, `"2026-11-20T10:42:13.5Z"`, created.Add(time.Second)},
		"the time, without a first": {`null`, `"2026-11-20T10:42:13.500000Z"`, created.Add(2500 * time.Millisecond)},
		"the creation, without any": {`null`, `null`, created},
		"of the year 10000":         {stored("9999-12-31T23:59:59-23:59"), `null`, created},
		"of the year -1":            {stored("0000-01-01T00:00:00+23:59"), `null`, created},
		"of the year 10000, twice":  {stored("9999-12-31T23:59:59-23:59"), stored("9999-12-31T23:59:59-23:59"), created},
		"that are none":             {`"yesterday"`, `{"a":7}`, created},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Event{}
			err := s.Read(fmt.Appendf(nil, `{"metadata":{"namespace":"team","name":"e",
				"creationTimestamp":"2026-11-20T10:42:11Z"},"involvedObject":{"kind":"Pod","namespace":"team","uid":"u"},
				"firstTimestamp":%s,"eventTime":%s}`, test.first, test.at))
			if err != nil || !s.First.Equal(test.want) || !s.relevant() {
				t.Errorf("%s, relevant %v: %v; want %s", s.First, s.relevant(), err, test.want)
			}
		})
	}
}

// A list comes in the order of names. The events of runs that still wait are the newest.
func TestTheOldestEventsAreDropped(t *testing.T) {
	begin := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	e := NewEvents(func(string) {})
	e.limit = 11 * event(t, "team", "00", "team", "run", 0).bytes()
	e.BeginList()
	for i := range 100 {
		s := event(t, "team", fmt.Sprintf("%02d", i), "team", "run", 0)
		s.created = begin.Add(time.Duration(i*37%100) * time.Minute) // each once
		e.AddListed(s)
	}
	e.EndList()
	found, _, _ := e.About("team", "run")
	if len(found) < 10 {
		t.Fatalf("%d events are left", len(found))
	}
	for _, s := range found {
		if s.created.Before(begin.Add(89 * time.Minute)) {
			t.Errorf("one of %s is left, and newer ones were dropped", s.created)
		}
	}
}

// A list that starts over takes away what no longer exists when it is complete, and not before.
func TestListsOfEventsThatStartOver(t *testing.T) {
	e := NewEvents(func(string) {})
	names := func() string {
		var all []string
		found, _, _ := e.About("team", "run")
		for _, s := range found {
			all = append(all, s.Name)
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	for _, step := range []struct {
		when  string
		do    func()
		names string
		known bool
	}{
		{"the first begins", e.BeginList, "", false},
		{"it has some", func() { e.AddListed(event(t, "team", "a", "team", "run", 0)) }, "a", false},
		{"it starts over, as the connection broke", e.BeginList, "a", false},
		{"it has others", func() { e.AddListed(event(t, "team", "b", "team", "run", 0)) }, "a b", false},
		{"it is complete", e.EndList, "b", true},
		{"one more arrives", func() { e.Add(event(t, "team", "c", "team", "run", 0)) }, "b c", true},
		{"the watch starts over", e.BeginList, "b c", true},
		{"its list has one of them", func() { e.AddListed(event(t, "team", "c", "team", "run", 0)) }, "b c", true},
		{"that is complete", e.EndList, "c", true},
	} {
		step.do()
		if _, _, known := e.About("team"); names() != step.names || known != step.known {
			t.Errorf("%s: %q, known %v; want %q, %v", step.when, names(), known, step.names, step.known)
		}
	}
}

// Nobody waits for ever.
func TestAwaitEvents(t *testing.T) {
	e := NewEvents(func(string) {})
	ended, end := context.WithCancel(t.Context())
	end()
	if e.Await(ended, time.Hour) || e.GaveUp() {
		t.Error("who is told to stop has given up")
	}
	if e.Await(t.Context(), 0) || !e.GaveUp() {
		t.Error("events that nobody lists are known")
	}
	e.EndList()
	if !e.Await(t.Context(), time.Hour) || e.GaveUp() {
		t.Error("events that were listed in the end are not known")
	}
}

// What is counted of events is what they take: each about an object of its own, with texts of any
// length.
func TestWhatEventsTake(t *testing.T) {
	for name, test := range map[string]struct{ events, message, name, reason int }{
		"regular events":    {10_000, 600, 30, 9},
		"nearly empty ones": {10_000, 0, 1, 1},
		"long reasons":      {500, 0, 1, 15 << 10},
		"long names":        {500, 0, 15 << 10, 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := NewEvents(func(string) {})
			before := inUse()
			for i := range test.events {
				s := &Event{}
				if err := s.Read(fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Event","metadata":{"namespace":"team",
					"name":"run-%d.17a3f09e5b2c","uid":"7c0f8b1e-7a52-4a8e-9d2f-%012d","resourceVersion":"%d"},
					"involvedObject":{"kind":"Pod","namespace":"team","name":%q,"uid":"6e21a8a5-bd27-4f4b-a14b-%012d"},
					"reason":%q,"message":%q}`, i, i, i, strings.Repeat("n", test.name)+fmt.Sprint(i), i,
					strings.Repeat("r", test.reason), strings.Repeat("m", test.message))); err != nil {
					t.Fatal(err)
				}
				e.Add(s)
			}
			took := int(inUse() - before)
			if e.bytes < took || len(e.byName) != test.events {
				t.Errorf("%d events take %d bytes each, %d are counted", len(e.byName), took/test.events,
					e.bytes/test.events)
			}
			runtime.KeepAlive(e)
		})
	}
}

// inUse is how many bytes are in use.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what had a finalizer
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
