package run

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Users may write a run's status. No name in it becomes a path or another request.
func TestNamesInAStatus(t *testing.T) {
	for _, name := range []string{"../x", "x/../y", "a/b", "", ".", "..", "x\x00y", strings.Repeat("a", 300), "UPPER",
		"a b"} {
		a := Attempt{PodName: "p", Steps: []Part{{Container: name}}, Sidecars: []Part{{Container: name}}}
		if got := ContainersOf(&a, nil); len(got) > 0 {
			t.Errorf("container %q has a log: %q", name, got)
		}
		r := Run{Status: Status{Attempt: Attempt{PodName: name}}}
		if got := r.Attempts(); len(got) > 0 {
			t.Errorf("pod %q is asked for", name)
		}
	}
	nowhere := Attempt{Steps: []Part{{Container: "step-a", Terminated: new(json.RawMessage)}}}
	if got := nowhere.ToFollow(); len(got) > 0 {
		t.Errorf("a log of no pod is followed: %q", got)
	}
	many := Attempt{PodName: "p"}
	for i := range 5000 {
		many.Sidecars = append(many.Sidecars, Part{Container: fmt.Sprint("sidecar-", i)})
	}
	if got := len(ContainersOf(&many, nil)); got > maxContainers {
		t.Errorf("%d logs of one attempt", got)
	}
}
