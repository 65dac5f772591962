package podlog

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// One namespace or run cannot take all streams or the whole spool.
func TestFollowerIsShared(t *testing.T) {
	k := &fakeKubelet{state: "running", breaks: make([]int, 1_000_000)} // more than are read
	f := newTestFollower(t, k, t.TempDir())
	f.slots = make(chan struct{}, 40)
	followed := 0
	for i := range 30 {
		if f.Follow("greedy", Key{types.UID(fmt.Sprint(i)), fmt.Sprint("p-", i), "step-a"}) {
			followed++
		}
	}
	if followed != 20 {
		t.Errorf("one namespace has %d of 40 streams, want half", followed)
	}
	followed = 0
	for i := range 30 {
		if f.Follow("honest", Key{"one", "p-one", fmt.Sprint("sidecar-", i)}) {
			followed++
		}
	}
	if followed != maxOfRun {
		t.Errorf("one run has %d streams, want %d", followed, maxOfRun)
	}
}

// A run of many steps is followed to its last one: ended steps hold no stream.
func TestFollowerOfManySteps(t *testing.T) {
	f := newTestFollower(t, &fakeKubelet{gone: true}, t.TempDir())
	for i := range 2 * maxOfRun {
		key := Key{"one", "p", fmt.Sprint("step-", i)}
		if !f.Follow("team", key) {
			t.Fatalf("step %d is not followed", i)
		}
		<-f.Tail("team", key).done
	}
}

// Users who may write a run's status choose its containers' names. No name becomes a path.
func TestNamesOfFiles(t *testing.T) {
	for _, name := range []string{"../x", "x/../y", "a/b", "", ".", "..", "x\x00y", strings.Repeat("a", 300), "UPPER",
		"a b"} {
		file := Key{types.UID(name), name, name}.file()
		if filepath.Base(file) != file || len(file) > 64 {
			t.Errorf("%q becomes the file %s", name, file)
		}
	}
}
