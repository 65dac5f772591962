// Package stay decides which archived runs stay in the cluster (archive.keep): those that a policy
// keeps because of their age, or as one of the last of their Pipeline or Task. It does not access
// the cluster.
//
//	policy.go   Policy, and which one applies to a run
//	ranking.go  Ranking: the last runs of each Pipeline and Task, and the verdict about a run
package stay

import (
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Policy says how long the runs it matches stay. The first policy that matches a run applies. A run
// that none matches stays forever.
type Policy struct {
	// Name is for logs and output.
	Name string
	// Namespaces are patterns as in path.Match, Selector is of the run's labels, Status has
	// outcomes (Run.Outcome). An empty field matches every run.
	Namespaces []string
	Selector   labels.Selector
	Status     []string
	// For is how long a run stays after its commit, at least. Forever: it always stays.
	For     time.Duration
	Forever bool
	// Last is how many matching runs of each Pipeline, Task or custom task in a namespace stay
	// whatever their age: those created last.
	Last int
}

// Run is what policies look at: an archived run that no other run created. Others are deleted with
// their owner.
type Run struct {
	Kind, Namespace, Name string
	UID                   types.UID
	Created, Archived     time.Time
	Labels                map[string]string
	// Outcome is one of Succeeded, Failed and Cancelled.
	Outcome string
	// Of identifies the Pipeline or Task (func Of).
	Of string
}

// Policies are all policies, in order.
type Policies []Policy

// About returns the first policy that matches a run, nil if none does.
func (all Policies) About(r *Run) *Policy {
	for i := range all {
		if all[i].about(r) {
			return &all[i]
		}
	}
	return nil
}

func (p *Policy) about(r *Run) bool {
	inNamespace := func(pattern string) bool { ok, _ := path.Match(pattern, r.Namespace); return ok }
	return (len(p.Namespaces) == 0 || slices.ContainsFunc(p.Namespaces, inNamespace)) &&
		(len(p.Status) == 0 || slices.Contains(p.Status, r.Outcome)) &&
		(p.Selector == nil || p.Selector.Matches(labels.Set(r.Labels)))
}

// left returns how much longer a run stays because of its age.
func (p *Policy) left(r *Run, now time.Time) time.Duration {
	return max(r.Archived.Add(p.For).Sub(now), 0)
}

// Of returns the key by which runs of a kind are counted: the Pipeline or Task they refer to.
// reference is its name, empty if it is embedded; then it is the run's generateName.
func Of(reference, generateName string) string {
	if reference != "" {
		return "of " + reference
	}
	return "named " + strings.TrimSuffix(generateName, "-")
}
