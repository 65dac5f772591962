package retention

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Options of Apply.
type Options struct {
	Store    store.Store
	Index    index.Index
	Cluster  layout.Cluster
	Policies []Policy
	// Now is the time from which the age of runs is computed. If the store's clock is behind it,
	// the store's counts.
	Now time.Time
	// Deleted returns the deleted namespaces with the time of deletion (DeletedNamespaces). It is
	// called once, if a policy has DeletedNamespaces. If it fails, those policies delete nothing.
	Deleted func(context.Context) (map[string]time.Time, error)
	// RunsOnly skips what tools wrote, which need not be done every hour: all of it is listed, and
	// what is old enough is read.
	RunsOnly bool
	// DryRun reports what would be deleted and deletes nothing.
	DryRun bool
	// Report, if not nil, is called for each run that the index proposes and each Result of tools
	// that is old enough.
	Report func(Outcome)
}

// Action is what was done with a run.
type Action string

// Actions.
const (
	// Deleted: the run was deleted, or would be without DryRun.
	Deleted Action = "deleted"
	// Kept: the index proposed the run and the archive did not confirm it: the run is held, or is
	// not what the index says.
	Kept Action = "kept"
	// Damaged: the run cannot be read and was not touched.
	Damaged Action = "damaged"
	// Cleared: the run had no commit; the rest of an interrupted deletion was removed.
	Cleared Action = "cleared"
)

// Outcome is what was done with one run.
type Outcome struct {
	Action Action
	// Run is the run. For a Result that tools wrote it has namespace and name, and the kind Result.
	Run manifest.Run
	// Policy is the name of the policy that matched.
	Policy string
	// Reason is why the run was not deleted.
	Reason string
}

// Totals count outcomes.
type Totals struct {
	Deleted, Kept, Damaged, Cleared int
	// Results is the number of Results that tools wrote among Deleted.
	Results int
	// Bytes is the size of the deleted runs' parts.
	Bytes int64
}

// Apply deletes the run trees that policies match, and then the Results of tools. The index only
// proposes runs: Apply reads commits and records of the whole tree from the archive and decides
// again. An error of one tree or Result does not keep it from the others; all errors are returned
// together. It deletes a commit before its parts. If it is killed, it leaves parts, which Sweep
// deletes, and rows of the index, which the next Apply deletes.
func Apply(ctx context.Context, o Options) (Totals, error) {
	a := &application{Options: o, deletedAt: func(string) time.Time { return time.Time{} }}
	a.hours.found = map[time.Time]func() ([]rowless, error){}
	for i := range o.Policies {
		if err := o.Policies[i].Check(); err != nil {
			return Totals{}, err
		}
	}
	listErr := a.listDeleted(ctx)
	err := a.run(ctx)
	return a.totals, errors.Join(err, listErr)
}

// application is the state of one call of Apply. held has the UIDs of runs that were held when it
// began, to save work; holds are checked again before a deletion.
type application struct {
	Options
	// deletedAt returns when a namespace was deleted, zero if it was not.
	deletedAt func(namespace string) time.Time
	held      map[string]bool
	hours     hours
	failures  failures
	totals    Totals
}

// listDeleted lists the deleted namespaces. On an error, no namespace counts as deleted.
func (a *application) listDeleted(ctx context.Context) error {
	needed := false
	for i := range a.Policies {
		needed = needed || a.Policies[i].DeletedNamespaces
	}
	if !needed {
		return nil
	}
	if a.Deleted == nil {
		return errors.New(
			"list deleted namespaces: not possible without a cluster; policies with deletedNamespaces delete nothing")
	}
	deleted, err := a.Deleted(ctx)
	if err != nil {
		return fmt.Errorf("list deleted namespaces: %w; policies with deletedNamespaces delete nothing", err)
	}
	a.deletedAt = func(namespace string) time.Time { return deleted[namespace] }
	return nil
}

func (a *application) run(ctx context.Context) error {
	if len(a.Policies) == 0 {
		return nil
	}
	complete, err := a.Index.Complete(ctx, string(a.Cluster))
	if err != nil {
		return err
	}
	if !complete {
		return ErrIncomplete
	}
	if err := a.listHolds(ctx); err != nil {
		return err
	}
	if !a.DryRun {
		if err := a.clearMarks(ctx); err != nil {
			return err
		}
	}
	err = a.trees(ctx)
	if err == nil && !a.RunsOnly {
		err = a.results(ctx)
	}
	return errors.Join(err, a.failures.all())
}

// trees deletes run trees. An error of one does not concern the others.
func (a *application) trees(ctx context.Context) error {
	var trees []*tree
	members := 0
	for row, err := range a.Index.Find(ctx, a.query()) {
		if err != nil {
			return err
		}
		s, err := a.subject(row.Commit, row.Record)
		if err != nil || decide(a.Now, a.Policies, s) == nil {
			continue // fsck reports records that cannot be read
		}
		t, err := a.newTree(ctx, row)
		if err != nil {
			if err := a.failures.add(ctx, err); err != nil {
				return err
			}
			continue
		}
		trees, members = append(trees, t), members+len(t.members)
		if len(trees) == batch || members >= maxMembers {
			if err := a.batch(ctx, trees); err != nil {
				return err
			}
			trees, members = trees[:0], 0
		}
	}
	return a.batch(ctx, trees)
}

// failures are errors of single trees and Results.
type failures struct {
	mu   sync.Mutex
	errs []error
}

// maxFailures is after how many of them there is no point in going on.
const maxFailures = 32

// add returns an error if the rest should not be tried.
func (f *failures) add(ctx context.Context, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return err
	}
	if f.errs = append(f.errs, err); len(f.errs) >= maxFailures {
		return errTooMany
	}
	return nil
}

func (f *failures) all() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

var errTooMany = fmt.Errorf("%d run trees or Results could not be dealt with, the rest is not tried", maxFailures)

// ErrIncomplete means that the index does not have all runs, so trees are not known completely.
var ErrIncomplete = errors.New(
	"the index is still being built: nothing is deleted until it has all runs (archiver index sync)")

// knows fails if the archive has a run that the index does not have.
func (a *application) knows(ctx context.Context, run layout.Run) error {
	_, err := a.Index.Get(ctx, string(a.Cluster), run.UID)
	if !errors.Is(err, index.ErrNotFound) {
		return err
	}
	key, err := a.Cluster.Commit(run)
	if err == nil {
		_, err = a.Store.Stat(ctx, key)
	}
	switch {
	case errors.Is(err, store.ErrNotExist):
		return nil // the hold came too late, and its writer was killed before removing it
	case err != nil:
		return err
	}
	return fmt.Errorf("run %s: %w", run.UID, ErrHoldUnknown)
}

// ErrHoldUnknown means that a held run is not in the index, because its commit is damaged or of a
// later version. Its tree is unknown, so nothing may be deleted.
var ErrHoldUnknown = errors.New(
	"it is held, and not in the index: nothing is deleted until it is indexed or the hold is removed " +
		"(archiver fsck shows why it is not indexed)")

func (a *application) listHolds(ctx context.Context) error {
	a.held = map[string]bool{}
	for info, err := range a.Store.List(ctx, a.Cluster.Holds(), "") {
		if err != nil {
			return fmt.Errorf("list holds: %w", err)
		}
		_, run, err := layout.ParseHold(info.Key)
		if err != nil {
			continue // reported by fsck
		}
		a.held[run.UID] = true
		if err := a.knows(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

// query returns the query for root runs that are old enough for some policy: a run is created
// before it is completed. It includes records if a policy has a selector.
func (a *application) query() index.Query {
	q := index.Query{Cluster: string(a.Cluster), Roots: true}
	after := a.Policies[0].After
	for i := range a.Policies {
		after = min(after, a.Policies[i].After)
		q.Records = q.Records || !a.Policies[i].selector().Empty()
	}
	q.After = &layout.Run{Created: a.Now.Add(-after)}
	return q
}

func (a *application) subject(commit *manifest.Commit, record []byte) (subject, error) {
	s := subject{commit: commit, namespaceDeleted: a.deletedAt(commit.Run.Namespace)}
	if record == nil {
		return s, nil
	}
	var err error
	s.metadata, err = metadataOf(record)
	return s, err
}
