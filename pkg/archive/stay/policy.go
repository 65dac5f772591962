// Package stay decides which archived runs stay in the cluster: those that a policy keeps, by their
// age or because they are among the last of their Pipeline or Task. It knows nothing of the
// cluster, and deletes nothing.
package stay

import (
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Policy says how long runs stay that it is about. Of several policies the first one that is about
// a run counts; a run that none is about stays for ever.
type Policy struct {
	// Name is for people.
	Name string
	// Namespaces are patterns as in path.Match, Selector one of the run's labels, Status names of
	// outcomes (Run.Outcome). What is empty does not matter.
	Namespaces []string
	Selector   labels.Selector
	Status     []string
	// For is how long a run stays after it was archived, at least; Forever, that it stays.
	For     time.Duration
	Forever bool
	// Last is how many runs of each Pipeline, Task or custom task stay however old they are, in
	// each namespace, of those that the policy is about: the ones that were created last.
	Last int
}

// Run is what policies ask about: a run that is archived, and that no other run made. What others
// made leaves with them.
type Run struct {
	Kind, Namespace, Name string
	UID                   types.UID
	Created, Archived     time.Time
	Labels                map[string]string
	// Outcome is one of Succeeded, Failed and Cancelled.
	Outcome string
	// Of is what it is a run of: see Of.
	Of string
}

// Policies are all policies, in their order.
type Policies []Policy

// About returns the first policy that is about a run, nil if none is.
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

// left returns how long a run stays for its age.
func (p *Policy) left(r *Run, now time.Time) time.Duration {
	return max(r.Archived.Add(p.For).Sub(now), 0)
}

// Of returns what runs of a kind are counted by: the Pipeline or Task that they refer to. reference
// is its name, empty for a run that has it written out; those are told apart by what their names
// are generated from, if they are.
func Of(reference, generateName string) string {
	if reference != "" {
		return "of " + reference
	}
	return "named " + strings.TrimSuffix(generateName, "-")
}
