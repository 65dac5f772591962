package controller

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// What the watches say, at first, of a change, of a deletion and when they start over, decides
// which runs have unarchived ones below them.
func TestTheWatchesKeepFamilies(t *testing.T) {
	c := controllerOf(t, nil)
	watchers, err := c.watchers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	customRuns := watchers[2]
	if customRuns.Resource != run.Resources[2] {
		t.Fatalf("it watches %v", customRuns.Resource)
	}
	works, archived := ofRoot(t, ""), ofRoot(t, `,"annotations":{"indelible.dev/archived":"2026-11-20T10:50:00Z",
		"results.tekton.dev/record":"team/results/r/records/c"}`)
	for _, step := range []struct {
		what string
		do   func()
		want int
	}{
		{"before the first list", func() {}, 0},
		{"after the first list", func() { customRuns.Initial([]any{works}) }, 1},
		{"after it was archived", func() { customRuns.Changed(archived) }, 0},
		{"after another change", func() { customRuns.Changed(works) }, 1},
		{"after a list without it", func() { customRuns.Initial(nil) }, 0},
		{"after a list with it", func() { customRuns.Initial([]any{works}) }, 1},
		{"after its deletion", func() { customRuns.Deleted(works) }, 0},
	} {
		step.do()
		if got := len(c.Families.Below("team", "root", 10)); got != step.want {
			t.Errorf("%s: %d below the root, want %d", step.what, got, step.want)
		}
	}
}

// ofRoot returns a CustomRun of the run with the UID root.
func ofRoot(t *testing.T, metadata string) *observed.Run {
	t.Helper()
	s := &observed.Run{}
	if err := s.Read([]byte(`{"kind":"CustomRun","metadata":{"name":"c","namespace":"team","uid":"c",
		"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","name":"root","uid":"root"}]` + metadata +
		`}}`)); err != nil {
		t.Fatal(err)
	}
	s.Kind, s.Object = "", nil // as the decoder leaves it
	return s
}

// While a watch starts over nothing is pruned, nor read for it.
func TestPruningWaitsForTheWatches(t *testing.T) {
	c, asked := controllerOf(t, nil), 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		finishedRuns(w, r)
	}))
	t.Cleanup(server.Close)
	var err error
	if c.Client, err = run.NewClient(&rest.Config{Host: server.URL, QPS: -1}); err != nil {
		t.Fatal(err)
	}
	up := false
	for range run.Kinds {
		c.Families.Watch(func() bool { return up })
	}
	ref := runIn("team", "build")
	if c.handle(t.Context(), ref, pruning); asked > 0 {
		t.Errorf("%d requests while a watch starts over", asked)
	}
	up = true
	if c.handle(t.Context(), ref, pruning); asked == 0 {
		t.Error("no request afterwards")
	}
}
