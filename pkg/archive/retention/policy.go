// Package retention deletes runs from the archive: those that policies match, and the leftovers of
// killed archivers. It deletes run trees as a whole, and only after it has read all their commits
// from the archive and confirmed that a policy matches.
package retention

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// HoldAnnotation keeps a run in the archive; its value is the reason. It counts as it was when the
// run was archived. For archived runs there is Hold.
const HoldAnnotation = "indelible.dev/hold"

// Policy selects the run trees to delete. All conditions that are set must match the root of the
// tree. Runs created by a PipelineRun are deleted only with it.
type Policy struct {
	Name string
	// After is the minimal time since the completion of the run, or since its commit if it has no
	// completion time. If that is before its creation, the creation counts. With DeletedNamespaces it
	// is also the minimal time since the deletion of the namespace.
	After time.Duration
	// Namespaces are patterns of path.Match; one must match.
	Namespaces []string
	// DeletedNamespaces matches runs whose namespace has not existed in the cluster for at least
	// minDeleted.
	DeletedNamespaces bool
	// Selector, such as app=x, matches the run's labels as archived.
	Selector labels.Selector
	// Status is a list of outcomes; one must be the run's.
	Status []string
}

// Outcomes of runs. A run that was deleted before it was finished has none.
const (
	Succeeded = manifest.Succeeded
	Failed    = manifest.Failed
	Cancelled = manifest.Cancelled
)

// Check returns an error if the policy is invalid. A policy without any condition would delete
// everything.
func (p *Policy) Check() error {
	switch {
	case p.Name == "":
		return errors.New("name is required")
	case p.After < 0:
		return fmt.Errorf("policy %s: after must not be negative", p.Name)
	case p.After == 0 && len(p.Namespaces) == 0 && !p.DeletedNamespaces && p.selector().Empty() && len(p.Status) == 0:
		return fmt.Errorf(
			"policy %s: at least one of after, namespaces, deletedNamespaces, selector and status is required", p.Name)
	}
	for _, pattern := range p.Namespaces {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("policy %s: namespaces: %q: %w", p.Name, pattern, err)
		}
	}
	for _, status := range p.Status {
		if status != Succeeded && status != Failed && status != Cancelled {
			return fmt.Errorf("policy %s: status: %q is not one of %s, %s, %s", p.Name, status, Succeeded, Failed,
				Cancelled)
		}
	}
	return nil
}

func (p *Policy) selector() labels.Selector {
	if p.Selector == nil {
		return labels.Everything()
	}
	return p.Selector
}

// subject is what a decision is about.
type subject struct {
	commit *manifest.Commit
	// metadata is that of the record; nil if it is not known, as in a proposal of the index.
	metadata *metadata
	// extra is added to the After of policies.
	extra time.Duration
	// namespaceDeleted is when the namespace was first missed in the cluster. It is zero if it exists,
	// or if that is not known.
	namespaceDeleted time.Time
}

// metadata is what policies need of a record.
type metadata struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	// children are what a PipelineRun says it created.
	children []childReference
}

type childReference struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

func metadataOf(record []byte) (*metadata, error) {
	var object struct {
		Metadata metadata        `json:"metadata"`
		Status   json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(record, &object); err != nil {
		return nil, fmt.Errorf("read metadata of record: %w", err)
	}
	var status struct {
		Children []childReference `json:"childReferences"`
	}
	_ = json.Unmarshal(object.Status, &status) // what is no PipelineRun may have anything there
	object.Metadata.children = status.Children
	return &object.Metadata, nil
}

// decide returns the first policy that matches, nil if none does. A run with a hold annotation or
// with a commit later than now is never deleted: a clock that is wrong once must not cost data.
// Without metadata the result is a proposal, which the archive has to confirm.
func decide(now time.Time, policies []Policy, s subject) *Policy {
	if s.commit.CommittedAt.After(now) || s.metadata != nil && s.metadata.Annotations[HoldAnnotation] != "" {
		return nil
	}
	for i := range policies {
		if policies[i].matches(now, s) {
			return &policies[i]
		}
	}
	return nil
}

func (p *Policy) matches(now time.Time, s subject) bool {
	run := &s.commit.Run
	since := s.commit.CommittedAt
	if run.Completed != nil {
		since = *run.Completed
	}
	if run.Created.After(since) { // a clock was wrong, and no run is older than itself
		since = run.Created
	}
	switch {
	case now.Sub(since) < p.After+s.extra || since.After(now):
		return false
	case !p.appliesTo(run.Namespace):
		return false
	case p.DeletedNamespaces && !p.deletedLongAgo(now, s):
		return false
	case len(p.Status) > 0 && !slices.Contains(p.Status, manifest.Outcome(run.Status, run.Reason)):
		return false
	}
	return s.metadata == nil || p.selector().Matches(labels.Set(s.metadata.Labels))
}

// minDeleted is how long a namespace must have been missing to count as deleted. It may be created
// again: by whoever moves it, or after a cluster was restored from a backup without it.
const minDeleted = 24 * time.Hour

func (p *Policy) deletedLongAgo(now time.Time, s subject) bool {
	return !s.namespaceDeleted.IsZero() && now.Sub(s.namespaceDeleted) >= max(p.After, minDeleted)
}

// appliesTo reports whether the policy applies to a namespace.
func (p *Policy) appliesTo(namespace string) bool {
	return len(p.Namespaces) == 0 || slices.ContainsFunc(p.Namespaces, func(pattern string) bool {
		ok, _ := path.Match(pattern, namespace)
		return ok
	})
}
