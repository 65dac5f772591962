package observed

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// seen returns a run from a watch. text is its kind and name, the names of the runs of its
// namespace that own it, and what it is: "CustomRun c of p: archived". UIDs are names.
func seen(t *testing.T, namespace, text string) *Run {
	t.Helper()
	what, state, _ := strings.Cut(text, ": ")
	what, of, _ := strings.Cut(what, " of ")
	kind, name, _ := strings.Cut(what, " ")
	var owners []any
	for _, owner := range strings.Fields(of) {
		owners = append(owners, map[string]any{"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": owner,
			"uid": owner})
	}
	metadata := map[string]any{"name": name, "namespace": namespace, "uid": name, "ownerReferences": owners,
		"creationTimestamp": "2026-11-20T10:42:11Z"}
	status := "True"
	switch state {
	case "archived":
		metadata["annotations"] = map[string]string{"indelible.dev/archived": "2026-11-20T10:50:00Z",
			"results.tekton.dev/record": "team/results/r/records/" + name}
	case "finished":
		metadata["finalizers"] = []string{run.Finalizer}
	case "opted out":
		metadata["annotations"] = map[string]string{"indelible.dev/archive": "disabled"}
	case "opted out, works":
		metadata["annotations"], status = map[string]string{"indelible.dev/archive": "disabled"}, "Unknown"
	default:
		status = "Unknown"
	}
	object, err := json.Marshal(map[string]any{"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": metadata,
		"status": map[string]any{"conditions": []any{map[string]string{"type": "Succeeded", "status": status}}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &Run{}
	if err := s.Read(object); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBelow(t *testing.T) {
	for name, tt := range map[string]struct {
		runs []string
		want []string
	}{
		"nothing":               {[]string{"PipelineRun p: archived"}, nil},
		"one that works":        {[]string{"TaskRun a of p: archived", "TaskRun b of p: works"}, []string{"b"}},
		"one that has finished": {[]string{"TaskRun a of p: finished"}, []string{"a"}},
		"all are archived":      {[]string{"TaskRun a of p: archived", "CustomRun c of p: archived"}, nil},
		"below a CustomRun that is archived": {
			[]string{"CustomRun c of p: archived", "PipelineRun q of c: works", "TaskRun a of q: works"}, []string{"a", "q"},
		},
		"known before what it is below": {
			[]string{"TaskRun a of q: works", "PipelineRun q of c: archived", "CustomRun c of p: archived"}, []string{"a"},
		},
		"below a TaskRun":        {[]string{"TaskRun a of p: archived", "PipelineRun q of a: works"}, []string{"q"}},
		"of another run":         {[]string{"TaskRun a of q: works", "PipelineRun q: works"}, nil},
		"of several":             {[]string{"TaskRun a of q p: works"}, []string{"a"}},
		"archived since":         {[]string{"TaskRun a of p: works", "TaskRun a of p: archived"}, nil},
		"owned by another since": {[]string{"TaskRun a of p: works", "TaskRun a of q: works"}, nil},
		"owned by nobody since":  {[]string{"TaskRun a of p: works", "TaskRun a: works"}, nil},
		"opted out, and ended":   {[]string{"TaskRun a of p: opted out"}, nil},
		"opted out, and works":   {[]string{"TaskRun a of p: opted out, works"}, []string{"a"}},
		"runs that made each other": {
			[]string{"PipelineRun p of q: archived", "PipelineRun q of p: archived", "TaskRun a of q a: works"}, []string{"a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := NewFamilies()
			for _, text := range tt.runs {
				f.Put(seen(t, "team", text))
			}
			if diff := cmp.Diff(tt.want, namesOf(f.Below("team", "p", 10))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func namesOf(found []*Unarchived) (names []string) {
	for _, u := range found {
		names = append(names, u.Name)
	}
	slices.Sort(names)
	return names
}

func TestAnOwnerOfAnotherNamespaceIsNone(t *testing.T) {
	f := NewFamilies()
	f.Put(seen(t, "other", "TaskRun a of p: works"))
	if found := f.Below("team", "p", 10); len(found) > 0 {
		t.Errorf("%s keeps a run of another namespace", found[0])
	}
}

// A list that starts over has the runs that there are. What the watch has missed counts no longer.
func TestFamiliesAfterAListThatStartsOver(t *testing.T) {
	f := NewFamilies()
	f.Replace("CustomRun", []*Run{seen(t, "team", "CustomRun c of p: works")})
	f.Replace("TaskRun", []*Run{seen(t, "team", "TaskRun a of p: works"), seen(t, "team", "TaskRun b of p: works")})
	if diff := cmp.Diff([]string{"a", "b", "c"}, namesOf(f.Below("team", "p", 10))); diff != "" {
		t.Errorf("at the start (-want +got):\n%s", diff)
	}
	f.Replace("TaskRun", []*Run{seen(t, "team", "TaskRun b of p: archived"), seen(t, "team", "TaskRun d of p: works")})
	if diff := cmp.Diff([]string{"c", "d"}, namesOf(f.Below("team", "p", 10))); diff != "" {
		t.Errorf("after the second list (-want +got):\n%s", diff)
	}
}

func TestChildrenThatTheWatchKnows(t *testing.T) {
	f := NewFamilies()
	for _, text := range []string{"TaskRun a of p: archived", "TaskRun b of p: works", "CustomRun a of p: finished",
		"TaskRun c of b: works"} {
		s := seen(t, "team", text)
		s.UID = types.UID(text)
		f.Put(s)
	}
	children := f.Children("team", "p")
	for name, want := range map[string]string{"TaskRun a": "archived", "TaskRun b": "not archived",
		"CustomRun a": "not archived", "CustomRun b": "unknown", "TaskRun c": "unknown"} {
		kind, of, _ := strings.Cut(name, " ")
		child, known := children.Of(run.Reference{Kind: kind, Namespace: "team", Name: of})
		got := "not archived"
		switch {
		case !known:
			got = "unknown"
		case child == nil:
			got = "archived"
		}
		if got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// What anybody may write into a run takes no memory once the run is gone, and nothing is kept of
// runs that nothing owns.
func TestFamiliesForget(t *testing.T) {
	f := NewFamilies()
	var all []*Run
	for i := range 100 {
		s := seen(t, "team", fmt.Sprintf("TaskRun a%d of x%d y%d p: works", i, i, i))
		f.Put(s)
		all = append(all, s, seen(t, "team", fmt.Sprintf("TaskRun alone%d: works", i)))
	}
	last := seen(t, "team", "TaskRun last of p: works")
	f.Put(last)
	for _, s := range all {
		f.Remove(s)
	}
	if in := f.namespaces["team"]; len(in.runs) != 1 || len(in.owned) != 1 {
		t.Errorf("besides the last, there are left: %v", in)
	}
	f.Remove(last)
	if len(f.namespaces) > 0 {
		t.Errorf("left: %v", f.namespaces["team"])
	}
	f.Put(seen(t, "team", "PipelineRun alone: works"))
	if len(f.namespaces) > 0 {
		t.Error("a run that nothing owns is kept")
	}
}

func TestFamiliesAreUpToDateWithAllWatches(t *testing.T) {
	f := NewFamilies()
	if f.UpToDate() {
		t.Error("without a watch")
	}
	is := []bool{true, true, true}
	for i := range is {
		f.Watch(func() bool { return is[i] })
		if got, want := f.UpToDate(), i == 2; got != want {
			t.Errorf("%v with %d watches", got, i+1)
		}
	}
	if is[1] = false; f.UpToDate() {
		t.Error("while one starts over")
	}
}
