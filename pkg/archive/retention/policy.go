// Package retention deletes runs from the archive: what policies say may go, and what archivers left that were killed. A run goes
// whole, its record, logs and events together, with all that it made, and only after all their commits were read, and its own was found
// to be what the policy means.
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

// HoldAnnotation is one that keeps a run in the archive for as long as it is there: its value is the reason. It counts as it was when
// the run was archived; for runs that are archived already there is Hold.
const HoldAnnotation = "indelible.dev/hold"

// Policy says which runs may be deleted: those of which all that it says is true, with all that they made. What it leaves empty it does
// not ask for. A run that a PipelineRun made is asked about with that one only.
type Policy struct {
	Name string
	// After is how long ago the run was completed, or committed where it has no completion time.
	After time.Duration
	// Namespaces are patterns as in path.Match, of which one must match.
	Namespaces []string
	// DeletedNamespaces asks for runs whose namespace is no longer in the cluster.
	DeletedNamespaces bool
	// Selector is one of the run's labels as they were archived, such as app=x.
	Selector labels.Selector
	// Status are names of outcomes, of which one must be the run's.
	Status []string
}

// Outcomes of runs. One that was deleted before it had one has none of them.
const (
	Succeeded = manifest.Succeeded
	Failed    = manifest.Failed
	Cancelled = manifest.Cancelled
)

// Check says why a policy makes no sense. One that asks for nothing would delete everything.
func (p *Policy) Check() error {
	switch {
	case p.Name == "":
		return errors.New("name is required")
	case p.After < 0:
		return fmt.Errorf("policy %s: after must not be negative", p.Name)
	case p.After == 0 && len(p.Namespaces) == 0 && !p.DeletedNamespaces && p.selector().Empty() && len(p.Status) == 0:
		return fmt.Errorf("policy %s: at least one of after, namespaces, deletedNamespaces, selector and status is required", p.Name)
	}
	for _, pattern := range p.Namespaces {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("policy %s: namespaces: %q: %w", p.Name, pattern, err)
		}
	}
	for _, status := range p.Status {
		if status != Succeeded && status != Failed && status != Cancelled {
			return fmt.Errorf("policy %s: status: %q is not one of %s, %s, %s", p.Name, status, Succeeded, Failed, Cancelled)
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

// subject is what a decision is made about.
type subject struct {
	commit *manifest.Commit
	// metadata is of the record; nil where only the index was asked, and labels are not known.
	metadata *metadata
	// extra is how much longer than policies say it is kept.
	extra time.Duration
	// namespaceGone says that the cluster does not have the run's namespace. False also if nobody knows.
	namespaceGone bool
}

// metadata is what of a record policies ask about.
type metadata struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func metadataOf(record []byte) (*metadata, error) {
	var object struct {
		Metadata metadata `json:"metadata"`
	}
	if err := json.Unmarshal(record, &object); err != nil {
		return nil, fmt.Errorf("read metadata of record: %w", err)
	}
	return &object.Metadata, nil
}

// decide names the first policy by which a run may be deleted, nil if none. A run that is held by an annotation, or was committed later
// than now, is never deleted: a clock that is wrong once must not cost what cannot be brought back. Without metadata the answer is
// what may be, for the archive to confirm.
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
	switch {
	case now.Sub(since) < p.After+s.extra || since.After(now):
		return false
	case !p.about(run.Namespace):
		return false
	case p.DeletedNamespaces && !s.namespaceGone:
		return false
	case len(p.Status) > 0 && !slices.Contains(p.Status, manifest.Outcome(run.Status, run.Reason)):
		return false
	}
	return s.metadata == nil || p.selector().Matches(labels.Set(s.metadata.Labels))
}

// about says whether a policy is about a namespace.
func (p *Policy) about(namespace string) bool {
	return len(p.Namespaces) == 0 || slices.ContainsFunc(p.Namespaces, func(pattern string) bool {
		ok, _ := path.Match(pattern, namespace)
		return ok
	})
}
