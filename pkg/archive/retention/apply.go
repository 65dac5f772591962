package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Options say what to delete.
type Options struct {
	Store    store.Store
	Index    index.Index
	Cluster  layout.Cluster
	Policies []Policy
	// Now is the time by which runs are old. Where the store's clock says less, that counts.
	Now time.Time
	// Deleted returns the namespaces that were deleted, and since when (DeletedNamespaces). It is asked once, and only if a policy has
	// DeletedNamespaces. If it fails, such policies delete nothing.
	Deleted func(context.Context) (map[string]time.Time, error)
	// RunsOnly leaves what tools wrote alone: all of it is listed, and what is old is read, which need not be every hour.
	RunsOnly bool
	// DryRun reports what would be deleted, and deletes nothing.
	DryRun bool
	// Report is told what becomes of each run that the index proposes, and of each Result of tools that is old enough. It may be nil.
	Report func(Outcome)
}

// Action is what was done with a run.
type Action string

// Actions.
const (
	// Deleted runs are gone, or would be but for DryRun.
	Deleted Action = "deleted"
	// Kept runs are such that the index proposed and the archive did not confirm: held, or not what the index says.
	Kept Action = "kept"
	// Damaged runs are not touched, as nobody can say what they are.
	Damaged Action = "damaged"
	// Cleared runs had no commit anymore: what an Apply left that was killed.
	Cleared Action = "cleared"
)

// Outcome is what became of one run.
type Outcome struct {
	Action Action
	// Run is of a Result that tools wrote its namespace and name, with Result for its kind.
	Run manifest.Run
	// Policy is the one by which it was deleted.
	Policy string
	// Reason says why it was not.
	Reason string
}

// Totals count outcomes.
type Totals struct {
	Deleted, Kept, Damaged, Cleared int
	// Results are those that tools wrote, of the deleted ones.
	Results int
	// Bytes are those of the objects that were deleted, without segments.
	Bytes int64
}

// Apply deletes what policies say, tree by tree. Of each run that the index proposes, and of all that it made, commits and records are read
// from the archive and decided about again. A commit goes before its parts: a crash at any later point leaves parts, which Sweep
// deletes, and a row, which the next Apply does.
func Apply(ctx context.Context, o Options) (Totals, error) {
	a := &application{Options: o, gone: func(string) bool { return false }}
	for i := range o.Policies {
		if err := o.Policies[i].Check(); err != nil {
			return Totals{}, err
		}
	}
	unlisted := a.listDeleted(ctx)
	err := a.run(ctx)
	return a.totals, errors.Join(err, unlisted)
}

// application is one run of Apply. held are the UIDs of runs with a hold when it began: a shortcut; what counts is looked at late.
type application struct {
	Options
	gone   func(namespace string) bool
	held   map[string]bool
	totals Totals
}

// listDeleted asks which namespaces were deleted. Where nobody says, none was.
func (a *application) listDeleted(ctx context.Context) error {
	asked := false
	for i := range a.Policies {
		asked = asked || a.Policies[i].DeletedNamespaces
	}
	if !asked {
		return nil
	}
	if a.Deleted == nil {
		return errors.New("list deleted namespaces: nobody to ask; nothing is deleted because its namespace is gone")
	}
	deleted, err := a.Deleted(ctx)
	if err != nil {
		return fmt.Errorf("list deleted namespaces: %w; nothing is deleted because its namespace is gone", err)
	}
	a.gone = func(namespace string) bool { _, gone := deleted[namespace]; return gone }
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
	var trees []*tree
	for row, err := range a.Index.Find(ctx, a.query()) {
		if err != nil {
			return err
		}
		s, err := a.subject(row.Commit, row.Record)
		if err != nil || decide(a.Now, a.Policies, s) == nil {
			continue // a record that cannot be read is fsck's to report
		}
		t, err := a.newTree(ctx, row.Commit)
		if err != nil {
			return err
		}
		if trees = append(trees, t); len(trees) == batch {
			if err := a.batch(ctx, trees); err != nil {
				return err
			}
			trees = trees[:0]
		}
	}
	if err := a.batch(ctx, trees); err != nil || a.RunsOnly {
		return err
	}
	return a.results(ctx)
}

// ErrIncomplete is the error where the index does not have all runs: what belongs to a run nobody knows then.
var ErrIncomplete = errors.New("the index is being made, and does not have all runs yet: nothing is deleted until it has (archiver index sync)")

// knows fails if the archive has a run that the index has not.
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
		return nil // a hold that came too late, of who was killed before he took it back
	case err != nil:
		return err
	}
	return fmt.Errorf("run %s: %w", run.UID, ErrHoldUnknown)
}

// ErrHoldUnknown is the error where a run is held that the index does not have, as its commit is damaged or of a later version: what belongs to
// it nobody knows then.
var ErrHoldUnknown = errors.New("it is held, and the index does not have it: nothing is deleted until it does, or the hold is taken off (archiver fsck says what is wrong with it)")

func (a *application) listHolds(ctx context.Context) error {
	a.held = map[string]bool{}
	for info, err := range a.Store.List(ctx, a.Cluster.Holds(), "") {
		if err != nil {
			return fmt.Errorf("list holds: %w", err)
		}
		_, run, err := layout.ParseHold(info.Key)
		if err != nil {
			continue // fsck names it
		}
		a.held[run.UID] = true
		if err := a.knows(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

// query asks for runs that are old enough to be matched: a run is created before it is completed. Records are asked for if labels are.
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
	s := subject{commit: commit, namespaceGone: a.gone(commit.Run.Namespace)}
	if record == nil {
		return s, nil
	}
	var err error
	s.metadata, err = metadataOf(record)
	return s, err
}
