package archiver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
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
	}
	nowhere := attempt{Steps: []part{{Container: "step-a", Terminated: new(json.RawMessage)}}}
	if got := nowhere.toFollow(); len(got) > 0 {
		t.Errorf("a log of no pod is followed: %q", got)
	}
	many := attempt{PodName: "p"}
	for i := range 5000 {
		many.Sidecars = append(many.Sidecars, part{Container: fmt.Sprint("sidecar-", i)})
	}
	if got := len(containersOf(&many, nil)); got > maxContainers {
		t.Errorf("%d logs of one attempt", got)
	}
}
