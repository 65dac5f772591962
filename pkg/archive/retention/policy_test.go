package retention

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time { at := now.Add(-d); return &at }

func TestDecide(t *testing.T) {
	const day = 24 * time.Hour
	old := func() subject {
		return subject{
			commit: &manifest.Commit{CommittedAt: now.Add(-10 * day), Run: manifest.Run{
				Namespace: "team-a", Completed: ago(11 * day), Status: "True", Reason: "Succeeded",
			}},
			metadata: &metadata{Labels: map[string]string{"app": "x"}},
		}
	}
	app, err := labels.Parse("app=x")
	if err != nil {
		t.Fatal(err)
	}
	notApp, err := labels.Parse("app!=x")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		policies []Policy
		change   func(*subject)
		want     string
	}{
		"keep without policies": {},
		"delete what is old": {
			policies: []Policy{{Name: "p", After: 11 * day}}, want: "p",
		},
		"keep what is a moment too young": {policies: []Policy{{Name: "p", After: 11*day + 1}}},
		"count from the commit where there is no completion": {
			policies: []Policy{{Name: "p", After: 10*day + 1}},
			change:   func(s *subject) { s.commit.Run.Completed = nil },
		},
		"delete without a completion, if the commit is old": {
			policies: []Policy{{Name: "p", After: 10 * day}}, change: func(s *subject) { s.commit.Run.Completed = nil },
			want: "p",
		},
		"keep what was created lately, whatever a clock said when it was archived": {
			policies: []Policy{{Name: "p", After: day}},
			change: func(s *subject) {
				s.commit.Run.Completed, s.commit.CommittedAt = nil, time.Unix(1000, 0)
				s.commit.Run.Created = now.Add(-day + time.Second)
			},
		},
		"keep what was created lately, and completed earlier": {
			policies: []Policy{{Name: "p", After: day}},
			change:   func(s *subject) { s.commit.Run.Created = now.Add(-day + time.Second) },
		},
		"count from the creation where all else is earlier": {
			policies: []Policy{{Name: "p", After: day}},
			change:   func(s *subject) { s.commit.Run.Created = now.Add(-day) }, want: "p",
		},
		"keep what was committed in the future": {
			policies: []Policy{{Name: "p", After: day}}, change: func(s *subject) { s.commit.CommittedAt = now.Add(1) },
		},
		"keep what was completed in the future": {
			policies: []Policy{{Name: "p", Status: []string{Succeeded}}},
			change:   func(s *subject) { s.commit.Run.Completed = ago(-1) },
		},
		"delete in a namespace that is named": {
			policies: []Policy{{Name: "p", Namespaces: []string{"other", "team-a"}}}, want: "p",
		},
		"delete in a namespace that a pattern matches": {
			policies: []Policy{{Name: "p", Namespaces: []string{"team-*"}}}, want: "p",
		},
		"keep in a namespace that no pattern matches": {
			policies: []Policy{{Name: "p", Namespaces: []string{"team", "*-b", "eam-a"}}},
		},
		"delete where the namespace has been gone for a day": {
			policies: []Policy{{Name: "p", DeletedNamespaces: true}},
			change:   func(s *subject) { s.namespaceDeleted = now.Add(-24 * time.Hour) }, want: "p",
		},
		"keep where the namespace may come back": {
			policies: []Policy{{Name: "p", DeletedNamespaces: true}},
			change:   func(s *subject) { s.namespaceDeleted = now.Add(-24*time.Hour + time.Second) },
		},
		"keep an old run of a namespace that was deleted lately": {
			policies: []Policy{{Name: "p", After: 3 * day, DeletedNamespaces: true}},
			change: func(s *subject) {
				s.commit.Run.Created, s.commit.Run.Completed = now.Add(-30*day), ago(30*day)
				s.namespaceDeleted = now.Add(-3*day + time.Second)
			},
		},
		"delete a young run of a namespace that was deleted long ago": {
			policies: []Policy{{Name: "p", After: day, DeletedNamespaces: true}},
			change:   func(s *subject) { s.namespaceDeleted = now.Add(-30 * day) }, want: "p",
		},
		"keep where the namespace is there, or nobody knows": {
			policies: []Policy{{Name: "p", DeletedNamespaces: true}},
		},
		"delete by label": {
			policies: []Policy{{Name: "p", Selector: app}}, want: "p",
		},
		"keep by label": {policies: []Policy{{Name: "p", Selector: notApp}}},
		"keep a run without labels": {
			policies: []Policy{{Name: "p", Selector: app}}, change: func(s *subject) { s.metadata.Labels = nil },
		},
		"propose what may have the label": {
			policies: []Policy{{Name: "p", Selector: app}}, change: func(s *subject) { s.metadata = nil }, want: "p",
		},
		"delete by status": {
			policies: []Policy{{Name: "p", Status: []string{Failed, Succeeded}}}, want: "p",
		},
		"keep another status": {
			policies: []Policy{{Name: "p", Status: []string{Failed, Cancelled}}},
		},
		"take a cancelled TaskRun for cancelled": {
			policies: []Policy{{Name: "p", Status: []string{Cancelled}}},
			change:   outcomeIs("False", "TaskRunCancelled"), want: "p",
		},
		"take a cancelled PipelineRun for cancelled": {
			policies: []Policy{{Name: "p", Status: []string{Cancelled}}}, change: outcomeIs("False", "Cancelled"),
			want: "p",
		},
		"take a cancelled CustomRun for cancelled": {
			policies: []Policy{{Name: "p", Status: []string{Cancelled}}},
			change:   outcomeIs("False", "CustomRunCancelled"), want: "p",
		},
		"not take a cancelled run for failed": {
			policies: []Policy{{Name: "p", Status: []string{Failed}}}, change: outcomeIs("False", "TaskRunCancelled"),
		},
		"take a run that timed out for failed": {
			policies: []Policy{{Name: "p", Status: []string{Failed}}}, change: outcomeIs("False", "TaskRunTimeout"),
			want: "p",
		},
		"keep a run without an outcome where one is asked for": {
			policies: []Policy{{Name: "p", Status: []string{Succeeded, Failed, Cancelled}}},
			change:   outcomeIs("Unknown", "Running"),
		},
		"delete a run without an outcome where none is": {
			policies: []Policy{{Name: "p", After: day}}, change: outcomeIs("Unknown", "Running"), want: "p",
		},
		"keep what an annotation holds": {
			policies: []Policy{{Name: "p", After: day}},
			change:   func(s *subject) { s.metadata.Annotations = map[string]string{HoldAnnotation: "audit"} },
		},
		"not be held by an empty annotation": {
			policies: []Policy{{Name: "p", After: day}},
			change:   func(s *subject) { s.metadata.Annotations = map[string]string{HoldAnnotation: ""} }, want: "p",
		},
		"ask for all that a policy says": {
			policies: []Policy{{Name: "p", After: day, Namespaces: []string{"team-a"}, Status: []string{Failed}}},
		},
		"delete where all is true": {
			policies: []Policy{{Name: "p", After: day, Namespaces: []string{"team-a"}, Selector: app,
				Status: []string{Succeeded}}}, want: "p",
		},
		"name the first policy that is true, whatever the others": {
			policies: []Policy{{Name: "no", After: 99 * day}, {Name: "yes", After: day}, {Name: "too", After: day}},
			want:     "yes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := old()
			if test.change != nil {
				test.change(&s)
			}
			got := ""
			if p := decide(now, test.policies, s); p != nil {
				got = p.Name
			}
			if got != test.want {
				t.Errorf("got policy %q, want %q", got, test.want)
			}
		})
	}
}

func outcomeIs(status, reason string) func(*subject) {
	return func(s *subject) { s.commit.Run.Status, s.commit.Run.Reason = status, reason }
}

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		policy Policy
		want   string
	}{
		"forbid a policy without a name": {Policy{After: 1}, "name"},
		"forbid a policy that is true of everything": {
			Policy{Name: "p", Selector: labels.Everything()}, "at least one",
		},
		"forbid a negative age":            {Policy{Name: "p", After: -1}, "negative"},
		"forbid a pattern that is none":    {Policy{Name: "p", Namespaces: []string{"a["}}, "namespaces"},
		"forbid a status that is none":     {Policy{Name: "p", Status: []string{"succeeded"}}, "status"},
		"allow an age":                     {Policy{Name: "p", After: 1}, ""},
		"allow deleted namespaces at once": {Policy{Name: "p", DeletedNamespaces: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.policy.Check()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
