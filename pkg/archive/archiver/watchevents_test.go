package archiver

import (
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Whoever can make one object that cannot be decoded can make many.
func TestUnreadableObjectsAreLoggedOnce(t *testing.T) {
	c := &cluster{t: t}
	a := c.archiver(None, nil)
	var logged []string
	a.Log = funcr.New(func(_, args string) { logged = append(logged, args) }, funcr.Options{})
	unreadable := a.Unreadable("events")
	for _, name := range []string{"one", "two", "three"} {
		unreadable(types.NamespacedName{Namespace: "team", Name: name})
	}
	if len(logged) != 1 || !strings.Contains(logged[0], "team/one") {
		t.Errorf("logged %q", logged)
	}
	if got := testutil.ToFloat64(a.Metrics.unreadable.WithLabelValues("events")); got != 3 {
		t.Errorf("%v are counted", got)
	}
}

// What the archive's record of namespaces has is not recorded again: it may have forgotten it.
func TestNamespacesOfArchivedRuns(t *testing.T) {
	c := &cluster{t: t, object: finished("PipelineRun", "", "", "")}
	a := c.archiver(None, nil)
	archived(t, a, "PipelineRun")
	if got := strings.Join(a.Namespaces(), " "); got != "team" {
		t.Errorf("archived in %q", got)
	}
	a.ForgetNamespaces(a.Namespaces())
	if got := a.Namespaces(); len(got) > 0 {
		t.Errorf("archived in %q since they were forgotten", got)
	}
}

// A run does not wait for events that an API server never lists; its commit says that they are
// missing.
func TestRunsWithoutTheClustersEvents(t *testing.T) {
	c := &cluster{t: t, object: finished("PipelineRun", "", "", "")}
	a := c.archiver(None, nil)
	a.Recent = observed.NewEvents(func(string) {})
	if _, err := a.Archive(t.Context(), run.Reference{Kind: "PipelineRun", Namespace: "team", Name: "build"}, true); PhaseOf(err) != "events" {
		t.Fatalf("archived before anybody gave up: %v", err)
	}
	a.Recent.Await(t.Context(), 0)
	commit := archived(t, a, "PipelineRun")
	var events []manifest.Part
	for _, p := range commit.Parts {
		if p.Type == manifest.Events {
			events = append(events, p)
		}
	}
	if len(events) != 1 || events[0].State != manifest.Missing || events[0].Reason == "" {
		t.Errorf("events: %+v", events)
	}
}
