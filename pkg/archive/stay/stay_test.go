package stay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func selector(t *testing.T, text string) labels.Selector {
	t.Helper()
	s, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run returns a run that was archived some hours ago.
func run(hours int, change func(*Run)) *Run {
	at := now.Add(-time.Duration(hours) * time.Hour)
	r := &Run{Kind: "PipelineRun", Namespace: "team", Name: fmt.Sprint("run-", hours),
		UID:     types.UID(fmt.Sprint(hours)),
		Created: at, Archived: at, Outcome: "Succeeded", Of: Of("build", "")}
	if change != nil {
		change(r)
	}
	return r
}

func TestFirstPolicyAboutARunCounts(t *testing.T) {
	all := Policies{
		{Name: "pinned", Selector: selector(t, "pin=yes"), Forever: true},
		{Name: "failures", Status: []string{"Failed", "Cancelled"}, For: 30 * 24 * time.Hour},
		{Name: "trials", Namespaces: []string{"trial-*", "play"}, For: time.Hour},
		{Name: "shop", Namespaces: []string{"team"}, Selector: selector(t, "app=shop"), For: 2 * time.Hour},
	}
	for name, tt := range map[string]struct {
		change func(*Run)
		want   string
	}{
		"none of another namespace, with no label": {nil, ""},
		"by a label":       {func(r *Run) { r.Labels = map[string]string{"app": "shop"} }, "shop"},
		"by another label": {func(r *Run) { r.Labels = map[string]string{"app": "shop2"} }, ""},
		"by a pattern":     {func(r *Run) { r.Namespace = "trial-7" }, "trials"},
		"by how it ended, before its namespace": {
			func(r *Run) { r.Namespace, r.Outcome = "trial-7", "Failed" }, "failures",
		},
		"by the first that matches, not by later ones": {func(r *Run) {
			r.Labels, r.Outcome = map[string]string{"pin": "yes", "app": "shop"}, "Failed"
		}, "pinned"},
		"not by a label alone if a namespace is required": {func(r *Run) {
			r.Namespace, r.Labels = "other", map[string]string{"app": "shop"}
		}, ""},
		"not if a pattern is only part of the name": {func(r *Run) { r.Namespace = "play-ground" }, ""},
		"by a pattern without wildcards":            {func(r *Run) { r.Namespace = "play" }, "trials"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if p := all.About(run(1, tt.change)); p != nil {
				got = p.Name
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Age and count both keep a run: it leaves when neither does.
func TestWhoLeaves(t *testing.T) {
	other := func(r *Run) { r.Of = Of("test", "") }
	task := func(r *Run) { r.Kind = "TaskRun" }
	elsewhere := func(r *Run) { r.Namespace = "other" }
	failed := func(r *Run) { r.Outcome = "Failed" }
	for name, tt := range map[string]struct {
		policies Policies
		runs     []*Run
		want     string // who leaves
	}{
		"none without policies": {nil, []*Run{run(1, nil), run(999, nil)}, ""},
		"a run over the age": {
			Policies{{For: 3 * time.Hour}}, []*Run{run(1, nil), run(2, nil), run(3, nil), run(4, nil)},
			"run-3 run-4"},
		"all at once with for: 0s": {Policies{{}}, []*Run{run(0, nil), run(1, nil)},
			"run-0 run-1"},
		"none that stays forever": {Policies{{Forever: true}}, []*Run{run(1, nil), run(999, nil)},
			""},
		"all but the last": {Policies{{Last: 2}}, []*Run{run(4, nil), run(1, nil), run(3, nil), run(2, nil)},
			"run-3 run-4"},
		"neither the last nor young ones": {Policies{{Last: 2, For: 3 * time.Hour}},
			[]*Run{run(1, nil), run(2, nil), run(3, nil), run(4, nil)},
			"run-3 run-4"},
		"young ones stay in addition to the last": {Policies{{Last: 1, For: 3 * time.Hour}},
			[]*Run{run(1, nil), run(2, nil), run(3, nil)},
			"run-3"},
		"the last of each Pipeline stays": {Policies{{Last: 1}},
			[]*Run{run(1, nil), run(2, other), run(3, nil), run(4, other)},
			"run-3 run-4"},
		"the last in each namespace stays": {Policies{{Last: 1}},
			[]*Run{run(1, nil), run(2, elsewhere), run(3, nil), run(4, elsewhere)},
			"run-3 run-4"},
		"the last of a Task of that name stays": {Policies{{Last: 1}},
			[]*Run{run(1, nil), run(2, task), run(3, nil), run(4, task)},
			"run-3 run-4"},
		"the last of each policy stays": {Policies{{Status: []string{"Failed"}, Last: 1}, {Last: 1}},
			[]*Run{run(1, nil), run(2, nil), run(3, failed), run(4, failed)},
			"run-2 run-4"},
		"runs created at the same time are ordered by UID": {Policies{{Last: 1}},
			[]*Run{run(1, func(r *Run) { r.UID = "a" }), run(1, func(r *Run) { r.UID, r.Name = "b", "b" })},
			"run-1"},
	} {
		t.Run(name, func(t *testing.T) {
			ranking := NewRanking(tt.policies)
			for range 2 { // a watch says things again
				for _, r := range tt.runs {
					ranking.Put(ranking.About(r), r)
				}
			}
			var leave []string
			for _, r := range tt.runs {
				if ranking.Decide(ranking.About(r), r, now).Leaves() {
					leave = append(leave, r.Name)
				}
			}
			slices.Sort(leave)
			if got := strings.Join(leave, " "); got != tt.want {
				t.Errorf("%q leave, want %q", got, tt.want)
			}
			for _, r := range tt.runs {
				ranking.Remove(r.UID)
			}
			if len(ranking.groups)+len(ranking.places) > 0 {
				t.Errorf("left: %v, %v", ranking.groups, ranking.places)
			}
		})
	}
}

// Put returns the run that is no longer among the last, so that it is looked at.
func TestPushedOut(t *testing.T) {
	ranking := NewRanking(Policies{{Last: 2}})
	put := func(r *Run, want string) {
		t.Helper()
		if got := ranking.Put(ranking.About(r), r); got != want {
			t.Errorf("%s pushes %q out, want %q", r.Name, got, want)
		}
	}
	put(run(9, nil), "")
	put(run(5, nil), "")
	put(run(7, nil), "run-9")
	put(run(8, nil), "") // it is not among them itself
	put(run(1, nil), "run-7")
	if v := ranking.Decide(ranking.About(run(2, nil)), run(2, nil), now); v.Leaves() || !v.Last {
		t.Errorf("one that was not counted: %+v", v)
	}
}

// run-9 was pushed out, and its hour is over after one of the last was deleted.
func TestARunThatIsAmongTheLastAgainIsPushedOutAgain(t *testing.T) {
	ranking := NewRanking(Policies{{Last: 2}})
	policy := ranking.About(run(9, nil))
	for _, r := range []*Run{run(9, nil), run(5, nil), run(7, nil)} {
		ranking.Put(policy, r)
	}
	ranking.Remove(run(5, nil).UID)
	if v := ranking.Decide(policy, run(9, nil), now); !v.Last {
		t.Fatalf("got %+v, want it to stay as one of the last two", v)
	}
	if out := ranking.Put(policy, run(1, nil)); out != "run-9" {
		t.Errorf("a new run pushes %q out, want run-9", out)
	}
}

// A list says which runs exist, but not which were deleted since the last one: without the Reset
// the one deleted at hour 1 would count, and push out a run that is among the last.
func TestARunThatIsNoLongerListedDoesNotCount(t *testing.T) {
	ranking := NewRanking(Policies{{Last: 2}})
	task := run(1, func(r *Run) { r.Kind, r.UID = "TaskRun", "task" })
	for _, r := range []*Run{task, run(1, nil), run(3, nil), run(4, nil)} {
		ranking.Put(ranking.About(r), r)
	}
	ranking.Reset("PipelineRun")
	for _, r := range []*Run{run(4, nil), run(3, nil)} {
		if out := ranking.Put(ranking.About(r), r); out != "" {
			t.Errorf("%s is pushed out", out)
		}
	}
	if v := ranking.Decide(ranking.About(run(4, nil)), run(4, nil), now); !v.Last {
		t.Errorf("got %+v, want it to stay as one of the last two", v)
	}
	if _, counted := ranking.places[task.UID]; !counted {
		t.Error("a TaskRun no longer counts")
	}
}

func TestWhatARunIsOf(t *testing.T) {
	for _, tt := range [][3]string{{"build", "build-", "of build"}, {"", "nightly-", "named nightly"},
		{"", "", "named "}} {
		if got := Of(tt[0], tt[1]); got != tt[2] {
			t.Errorf("Of(%q, %q) = %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}
