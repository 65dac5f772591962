package run

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
		p := Run{TypeMeta: metav1.TypeMeta{Kind: PipelineRunKind}, ObjectMeta: metav1.ObjectMeta{Namespace: "team"},
			Status: Status{ChildReferences: []child{{Kind: "TaskRun", Name: name}}}}
		if got := p.Children(); len(got) > 0 {
			t.Errorf("run %q is asked for", name)
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

func TestChildren(t *testing.T) {
	one, other := Reference{"TaskRun", "team", "one"}, Reference{"CustomRun", "team", "one"}
	for name, tt := range map[string]struct {
		kind  string
		named []child
		want  []Reference
	}{
		"in the order of the status": {
			PipelineRunKind, []child{{"TaskRun", "one"}, {"CustomRun", "one"}}, []Reference{one, other},
		},
		"each once": {
			PipelineRunKind, []child{{"TaskRun", "one"}, {"CustomRun", "one"}, {"TaskRun", "one"}}, []Reference{one, other},
		},
		"none of a kind that is not archived": {PipelineRunKind, []child{{"Secret", "one"}, {"", "one"}}, nil},
		"none of a TaskRun":                   {"TaskRun", []child{{"TaskRun", "one"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := Run{TypeMeta: metav1.TypeMeta{Kind: tt.kind}, ObjectMeta: metav1.ObjectMeta{Namespace: "team"},
				Status: Status{ChildReferences: tt.named}}
			if diff := cmp.Diff(tt.want, r.Children()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("no more than any Pipeline makes", func(t *testing.T) {
		r := Run{TypeMeta: metav1.TypeMeta{Kind: PipelineRunKind}, ObjectMeta: metav1.ObjectMeta{Namespace: "team"}}
		for i := range 30_000 {
			r.Status.ChildReferences = append(r.Status.ChildReferences, child{"TaskRun", fmt.Sprint("made-up-", i)})
		}
		if got := len(r.Children()); got > 5000 {
			t.Errorf("%d children", got)
		}
	})
}

func TestOwners(t *testing.T) {
	of := func(kind, version, uid string) metav1.OwnerReference {
		return metav1.OwnerReference{Kind: kind, APIVersion: version, UID: types.UID(uid)}
	}
	many := make([]metav1.OwnerReference, 10_000)
	for i := range many {
		many[i] = of("TaskRun", "tekton.dev/v1", fmt.Sprint(i))
	}
	for name, tt := range map[string]struct {
		owners []metav1.OwnerReference
		want   int
	}{
		"runs of all kinds": {[]metav1.OwnerReference{of("PipelineRun", "tekton.dev/v1", "a"),
			of("CustomRun", "tekton.dev/v1beta1", "b"), of("TaskRun", "tekton.dev/v1beta1", "c")}, 3},
		"no other kinds": {[]metav1.OwnerReference{of("PipelineRun", "example.dev/v1", "a"),
			of("EventListener", "triggers.tekton.dev/v1beta1", "b"), of("Pipeline", "tekton.dev/v1", "c")}, 0},
		"a few, whatever somebody has written": {many, 4},
	} {
		t.Run(name, func(t *testing.T) {
			r := Run{ObjectMeta: metav1.ObjectMeta{OwnerReferences: tt.owners}}
			if got := r.Owners(); len(got) != tt.want {
				t.Errorf("%d owners: %q", len(got), got)
			}
		})
	}
}
