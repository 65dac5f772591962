package retention

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// What tools wrote is kept and deleted by Results, each with everything under it. Policies apply to
// a Result as to a run: the age is the time since the last write below it, the namespace is its
// parent, the outcome is that of its summary, the labels are those of the record that the summary
// names. Without such a record no selector matches. As long as the archive has runs of a Result,
// what tools wrote in it stays.

// results deletes Results by the policies.
func (a *application) results(ctx context.Context) error {
	objects := object.New(a.Store, a.Cluster, time.Now)
	after := a.Policies[0].After
	for i := range a.Policies {
		after = min(after, a.Policies[i].After)
	}
	next, stop := iter.Pull2(a.Index.Objects(ctx, string(a.Cluster)))
	defer stop()
	parentOf := parents(next)
	var deleted []*object.Tree
	for hash, err := range objects.Idle(ctx, a.Now.Add(-after)) {
		if err != nil {
			return errors.Join(err, a.forget(ctx, objects, deleted))
		}
		if parent := parentOf(hash); parent != "" && !a.mayMatch(parent) {
			continue
		}
		t, done, err := a.result(ctx, objects, hash)
		if done {
			deleted = append(deleted, t)
		}
		if err != nil {
			err = a.failures.add(ctx, err)
		}
		if err != nil {
			return errors.Join(err, a.forget(ctx, objects, deleted))
		}
		if len(deleted) == batch {
			if err := a.forget(ctx, objects, deleted); err != nil {
				return err
			}
			deleted = deleted[:0]
		}
	}
	return a.forget(ctx, objects, deleted)
}

// parents returns a function that returns the parent of a tree by the index, "" if the index does
// not have it. It must be called with trees in ascending order.
func parents(next func() (object.Object, error, bool)) func(tree string) string {
	var tree, parent string
	more := true
	advance := func() {
		var row object.Object
		var err error
		row, err, more = next()
		_, k, parseErr := layout.ParseObject(row.Key)
		if more = more && err == nil && parseErr == nil; more {
			tree, parent = k.Tree, row.Parent
		}
	}
	return func(asked string) string {
		for more && tree < asked {
			advance()
		}
		if more && tree == asked {
			return parent
		}
		return ""
	}
}

// mayMatch reports whether a policy may match in a namespace. Results of other namespaces need not
// be read.
func (a *application) mayMatch(namespace string) bool {
	return slices.ContainsFunc(a.Policies, func(p Policy) bool {
		return p.appliesTo(namespace) && (!p.DeletedNamespaces || !a.deletedAt(namespace).IsZero())
	})
}

// forget removes deleted Results from segments and then from the index. If it is interrupted, the
// index's Sync deletes the rows left over.
func (a *application) forget(ctx context.Context, objects *object.Objects, deleted []*object.Tree) error {
	if len(deleted) == 0 {
		return nil
	}
	hashes := make([]string, 0, len(deleted))
	for _, t := range deleted {
		hashes = append(hashes, t.Hash)
	}
	if err := objects.Forget(ctx, hashes...); err != nil {
		return err
	}
	for _, t := range deleted {
		if err := a.Index.DeleteObjects(ctx, string(a.Cluster), t.Objects...); err != nil {
			return err
		}
	}
	return nil
}

// result decides about a Result, and deletes it if a policy matches.
func (a *application) result(
	ctx context.Context, objects *object.Objects, hash string,
) (t *object.Tree, deleted bool, err error) {
	t, err = objects.ReadTree(ctx, hash)
	if object.Unreadable(err) {
		a.outcome(&object.Tree{Result: hash}, Outcome{Action: Damaged, Reason: err.Error()})
		return nil, false, nil
	}
	if err != nil || len(t.Objects) == 0 {
		return nil, false, err
	}
	policy := a.resultPolicy(t, a.Now)
	if policy == nil {
		return nil, false, nil
	}
	if busy, err := a.hasRuns(ctx, t); busy || err != nil {
		return nil, false, err
	}
	held, err := objects.Held(ctx, t.Parent, t.Result)
	switch {
	case err != nil:
		return nil, false, err
	case held != nil:
		a.outcome(t, Outcome{Action: Kept, Reason: "it is held: " + held.Reason})
		return nil, false, nil
	case a.DryRun:
		a.outcome(t, Outcome{Action: Deleted, Policy: policy.Name})
		return nil, false, nil
	}
	// If the store's clock is ahead of this one, Now counts.
	may := func(at time.Time) bool { return !at.Before(a.Now) || a.resultPolicy(t, at) != nil }
	switch err := objects.DeleteTree(ctx, t, may); {
	case errors.Is(err, object.ErrConflict), errors.Is(err, object.ErrHeld), errors.Is(err, object.ErrTooYoung):
		a.outcome(t, Outcome{Action: Kept, Reason: err.Error()})
	case err != nil:
		return nil, false, err
	default:
		a.outcome(t, Outcome{Action: Deleted, Policy: policy.Name})
		return t, true, nil
	}
	return nil, false, nil
}

// hasRuns reports whether the archive has a run of the Result.
func (a *application) hasRuns(ctx context.Context, t *object.Tree) (bool, error) {
	q := index.Query{Cluster: string(a.Cluster), Namespace: t.Parent, Result: t.Result, Limit: 1}
	for _, err := range a.Index.Find(ctx, q) {
		return true, err
	}
	return false, nil
}

// outcome counts and reports what was done with a Result.
func (a *application) outcome(t *object.Tree, o Outcome) {
	switch o.Action {
	case Deleted:
		a.totals.Deleted++
		a.totals.Results++
	case Kept:
		a.totals.Kept++
	case Damaged:
		a.totals.Damaged++
	}
	o.Run = manifest.Run{Kind: string(object.Result), Namespace: t.Parent, Name: t.Result, Result: t.Result}
	if a.Report != nil {
		a.Report(o)
	}
}

// resultPolicy returns the policy that matches a Result at a time, nil if none.
func (a *application) resultPolicy(t *object.Tree, now time.Time) *Policy {
	r := readResult(t)
	s := subject{
		commit:           &manifest.Commit{CommittedAt: t.Written, Run: manifest.Run{Namespace: t.Parent}},
		metadata:         &metadata{Labels: r.labels, Annotations: r.annotations},
		namespaceDeleted: a.deletedAt(t.Parent),
	}
	for i := range t.Objects {
		if t.Objects[i].Updated.After(s.commit.CommittedAt) {
			s.commit.CommittedAt = t.Objects[i].Updated
		}
	}
	s.commit.Run.Status, s.commit.Run.Reason = r.outcome()
	policies := a.Policies
	if !r.root {
		policies = slices.DeleteFunc(slices.Clone(policies), func(p Policy) bool { return !p.selector().Empty() })
	}
	return decide(now, policies, s)
}

// resultFacts are what policies need of a Result.
type resultFacts struct {
	status string
	// root: the record that the summary names exists; labels are its labels.
	root   bool
	labels map[string]string
	// annotations has a hold if any object of the Result has one.
	annotations map[string]string
}

func readResult(t *object.Tree) resultFacts {
	f := resultFacts{annotations: map[string]string{}}
	var result struct {
		Annotations map[string]string `json:"annotations"`
		Summary     struct {
			Record string `json:"record"`
			Status string `json:"status"`
		} `json:"summary"`
	}
	for i := range t.Objects {
		o := &t.Objects[i]
		switch o.Kind {
		case object.Result:
			_ = json.Unmarshal(o.Data, &result) // other data has no annotations and no summary
			f.hold(result.Annotations)
		case object.Record:
			m, err := metadataOf(o.Data)
			if err != nil {
				continue // not an object with metadata
			}
			if f.hold(m.Annotations); o.Name().String() == result.Summary.Record {
				f.root, f.labels = true, m.Labels
			}
		}
	}
	f.status = strings.ToUpper(result.Summary.Status)
	return f
}

func (f *resultFacts) hold(annotations map[string]string) {
	if reason := annotations[HoldAnnotation]; reason != "" {
		f.annotations[HoldAnnotation] = reason
	}
}

// outcome returns status and reason of a run's condition with the summary's outcome.
func (f *resultFacts) outcome() (status, reason string) {
	switch f.status {
	case "SUCCESS":
		return "True", "Succeeded"
	case "FAILURE", "TIMEOUT":
		return "False", "Failed"
	case "CANCELLED":
		return "False", "Cancelled"
	}
	return "", ""
}
