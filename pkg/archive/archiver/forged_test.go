package archiver

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Who may write a run's status decides what it says. No name in it becomes a path, or a request for anything else.
func TestNamesInAStatus(t *testing.T) {
	for _, name := range []string{"../x", "x/../y", "a/b", "", ".", "..", "x\x00y", strings.Repeat("a", 300), "UPPER", "a b"} {
		a := attempt{PodName: "p", Steps: []part{{Container: name}}, Sidecars: []part{{Container: name}}}
		if got := containersOf(&a, nil); len(got) > 0 {
			t.Errorf("container %q has a log: %q", name, got)
		}
		r := run{status: status{attempt: attempt{PodName: name}}}
		if got := r.attempts(); len(got) > 0 {
			t.Errorf("pod %q is asked for", name)
		}
		file := tailKey{types.UID(name), name, name}.file()
		if filepath.Base(file) != file || len(file) > 64 {
			t.Errorf("%q becomes the file %s", name, file)
		}
	}
	s := &sighting{}
	if err := s.read([]byte(`{"metadata":{"name":"run"},"status":{"podName":"","steps":[{"container":"step-a","running":{}}]}}`)); err != nil || len(s.attempt.toFollow()) > 0 {
		t.Errorf("a log of no pod is followed, %v", err)
	}
	many := attempt{PodName: "p"}
	for i := range 5000 {
		many.Sidecars = append(many.Sidecars, part{Container: fmt.Sprint("sidecar-", i)})
	}
	if got := len(containersOf(&many, nil)); got > maxContainers {
		t.Errorf("%d logs of one attempt", got)
	}
}

// However often a status names a pod, and whatever events say of it, each object is asked about once.
func TestObjectsThatEventsAreAbout(t *testing.T) {
	a := &Archiver{recent: newRecentEvents(NewMetrics(nil))}
	created := time.Date(2026, 11, 20, 10, 42, 11, 0, time.UTC)
	for i, uid := range []string{"run", "pod", "pod", "another"} {
		s := &eventSighting{}
		if err := s.read(fmt.Appendf(nil, `{"metadata":{"namespace":"team","name":"e%d","creationTimestamp":"2026-11-20T10:42:12Z"},"involvedObject":{"kind":"Pod","namespace":"team","name":"p","uid":%q}}`, i, uid)); err != nil {
			t.Fatal(err)
		}
		a.recent.add(s)
	}
	r := &run{ObjectMeta: metav1.ObjectMeta{Namespace: "team", UID: "run", CreationTimestamp: metav1.NewTime(created)}}
	r.status.PodName = "p"
	for range 400 {
		r.status.RetriesStatus = append(r.status.RetriesStatus, attempt{PodName: "p"})
	}
	if got, want := a.objectsOf(r), []types.UID{"another", "pod", "run"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// One namespace, or one run, leaves the others theirs.
func TestFollowerIsShared(t *testing.T) {
	k := &fakeKubelet{state: "running", breaks: make([]int, 1_000_000)} // more than are read
	f := newTestFollower(t, k, t.TempDir())
	f.slots = make(chan struct{}, 40)
	followed := 0
	for i := range 30 {
		if f.follow("greedy", tailKey{types.UID(fmt.Sprint(i)), "p", "step-a"}) {
			followed++
		}
	}
	if followed != 20 {
		t.Errorf("one namespace has %d of 40 streams, want half", followed)
	}
	followed = 0
	for i := range 30 {
		if f.follow("honest", tailKey{"one", "p", fmt.Sprint("sidecar-", i)}) {
			followed++
		}
	}
	if followed != maxOfRun {
		t.Errorf("one run has %d streams, want %d", followed, maxOfRun)
	}
}

// A run of many steps is followed to its last one: steps that have ended have no stream.
func TestFollowerOfManySteps(t *testing.T) {
	f := newTestFollower(t, &fakeKubelet{gone: true}, t.TempDir())
	for i := range 2 * maxOfRun {
		key := tailKey{"one", "p", fmt.Sprint("step-", i)}
		if !f.follow("team", key) {
			t.Fatalf("step %d is not followed", i)
		}
		<-f.tail("team", key).done
	}
}
