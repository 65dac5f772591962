package retention

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const (
	// workers is how many runs are deleted at a time, batch after how many the index and the segments follow.
	workers = 16
	batch   = 256
)

// Options say what to delete.
type Options struct {
	Store    store.Store
	Index    index.Index
	Cluster  layout.Cluster
	Policies []Policy
	// Now is the time by which runs are old.
	Now time.Time
	// Namespaces lists those that the cluster has. It is asked once, and only if a policy has DeletedNamespaces. If it fails, or there are
	// none, such policies delete nothing.
	Namespaces func(context.Context) ([]string, error)
	// DryRun reports what would be deleted, and deletes nothing.
	DryRun bool
	// Report is told what becomes of each run that the index proposes. It may be nil.
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
	Run    manifest.Run
	// Policy is the one by which it was deleted.
	Policy string
	// Reason says why it was not.
	Reason string
}

// Totals count outcomes.
type Totals struct {
	Deleted, Kept, Damaged, Cleared int
	// Bytes are those of the objects that were deleted, without segments.
	Bytes int64
}

// Apply deletes what policies say. Of each run that the index proposes, commit and record are read from the archive and decided about
// again. The commit goes first: a crash at any later point leaves parts, which Sweep deletes, and a row, which the next Apply does.
func Apply(ctx context.Context, o Options) (Totals, error) {
	a := &application{Options: o, gone: func(string) bool { return false }}
	for i := range o.Policies {
		if err := o.Policies[i].Check(); err != nil {
			return Totals{}, err
		}
	}
	unlisted := a.listNamespaces(ctx)
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

// listNamespaces asks the cluster. Where it does not say, no namespace counts as deleted.
func (a *application) listNamespaces(ctx context.Context) error {
	asked := false
	for i := range a.Policies {
		asked = asked || a.Policies[i].DeletedNamespaces
	}
	if !asked {
		return nil
	}
	if a.Namespaces == nil {
		return errors.New("list namespaces: nobody to ask; nothing is deleted because its namespace is gone")
	}
	names, err := a.Namespaces(ctx)
	if err == nil && len(names) == 0 {
		err = errors.New("there are none, which no cluster says that works")
	}
	if err != nil {
		return fmt.Errorf("list namespaces: %w; nothing is deleted because its namespace is gone", err)
	}
	there := map[string]bool{}
	for _, name := range names {
		there[name] = true
	}
	a.gone = func(namespace string) bool { return !there[namespace] }
	return nil
}

func (a *application) run(ctx context.Context) error {
	if len(a.Policies) == 0 {
		return nil
	}
	if err := a.listHolds(ctx); err != nil {
		return err
	}
	var candidates []*candidate
	for row, err := range a.Index.Find(ctx, a.query()) {
		if err != nil {
			return err
		}
		s, err := a.subject(row.Commit, row.Record)
		if err != nil || decide(a.Now, a.Policies, s) == nil || a.held[row.Commit.Run.UID] {
			continue // a record that cannot be read is fsck's to report
		}
		if candidates = append(candidates, &candidate{row: row.Commit}); len(candidates) == batch {
			if err := a.batch(ctx, candidates); err != nil {
				return err
			}
			candidates = candidates[:0]
		}
	}
	return a.batch(ctx, candidates)
}

func (a *application) listHolds(ctx context.Context) error {
	a.held = map[string]bool{}
	for info, err := range a.Store.List(ctx, a.Cluster.Holds(), "") {
		if err != nil {
			return fmt.Errorf("list holds: %w", err)
		}
		if _, run, err := layout.ParseHold(info.Key); err == nil {
			a.held[run.UID] = true
		}
	}
	return nil
}

// query asks for runs that are old enough to be matched: a run is created before it is completed. Records are asked for if labels are.
func (a *application) query() index.Query {
	q := index.Query{Cluster: string(a.Cluster)}
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

// candidate is a run that the index proposes, and then what became of it.
type candidate struct {
	row     *manifest.Commit
	outcome Outcome
	bytes   int64
}

// batch deletes some runs, and then what other places have of them. Rows go last: they are what a next Apply knows the runs by.
func (a *application) batch(ctx context.Context, candidates []*candidate) error {
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, c := range candidates {
		group.Go(func() error { return a.candidate(groupContext, c) })
	}
	err := group.Wait()
	var runs []layout.Run
	var uids []string
	for _, c := range candidates {
		a.count(c)
		if !a.DryRun && (c.outcome.Action == Deleted || c.outcome.Action == Cleared) {
			runs, uids = append(runs, c.row.ID()), append(uids, c.row.Run.UID)
		}
	}
	if len(uids) == 0 {
		return err
	}
	if forget := catalogue.Forget(ctx, a.Store, a.Cluster, runs...); forget != nil {
		return errors.Join(err, forget)
	}
	return errors.Join(err, a.Index.Delete(ctx, string(a.Cluster), uids...))
}

func (a *application) count(c *candidate) {
	switch c.outcome.Action {
	case Deleted:
		a.totals.Deleted++
		a.totals.Bytes += c.bytes
	case Kept:
		a.totals.Kept++
	case Damaged:
		a.totals.Damaged++
	case Cleared:
		a.totals.Cleared++
	default: // it was not come to
		return
	}
	c.outcome.Run = c.row.Run
	if a.Report != nil {
		a.Report(c.outcome)
	}
}

// candidate reads a run and decides again.
func (a *application) candidate(ctx context.Context, c *candidate) error {
	key, err := a.Cluster.Commit(c.row.ID())
	if err != nil {
		return err
	}
	e, err := catalogue.Load(ctx, a.Store, key)
	if err != nil {
		return a.unreadable(ctx, c, key, err)
	}
	s, err := a.subject(e.Commit, e.Record)
	if err != nil {
		c.outcome = Outcome{Action: Damaged, Reason: err.Error()}
		return nil
	}
	policy := decide(a.Now, a.Policies, s)
	if policy == nil {
		c.outcome = Outcome{Action: Kept, Reason: "the archive does not say what the index does, or an annotation holds it"}
		return nil
	}
	return a.delete(ctx, c, e, policy)
}

// unreadable deals with a run that Load could not read. Only one without a commit is cleared: one without a record is damaged.
func (a *application) unreadable(ctx context.Context, c *candidate, key string, err error) error {
	if !catalogue.Unreadable(err) {
		return err
	}
	c.outcome = Outcome{Action: Damaged, Reason: err.Error()}
	if !errors.Is(err, store.ErrNotExist) {
		return nil
	}
	switch _, err := a.Store.Stat(ctx, key); {
	case errors.Is(err, store.ErrNotExist):
		c.outcome = Outcome{Action: Cleared, Reason: "it has no commit anymore"}
	case err != nil:
		return err
	}
	return nil
}

// delete deletes a run's commit and then its parts. A hold is looked for right before, and right after: whoever placed it meanwhile
// has seen the commit, and has been told that the run stays. So the commit is brought back.
func (a *application) delete(ctx context.Context, c *candidate, e catalogue.Entry, policy *Policy) error {
	held, err := Held(ctx, a.Store, a.Cluster, e.Commit.ID())
	if err != nil {
		return err
	}
	if held != nil {
		c.outcome = Outcome{Action: Kept, Reason: "held: " + held.Reason}
		return nil
	}
	c.outcome = Outcome{Action: Deleted, Policy: policy.Name}
	for i := range e.Commit.Parts {
		if stored := e.Commit.Parts[i].Stored; stored != nil {
			c.bytes += stored.Bytes
		}
	}
	if a.DryRun {
		return nil
	}
	text, err := a.object(ctx, e.Key)
	if err != nil {
		c.outcome = Outcome{}
		return err
	}
	// From here on a context that ends must not keep the commit from being brought back.
	ctx = context.WithoutCancel(ctx)
	if err := a.Store.Delete(ctx, e.Key); err != nil {
		c.outcome = Outcome{}
		return err
	}
	if held, err = Held(ctx, a.Store, a.Cluster, e.Commit.ID()); err != nil || held != nil {
		c.outcome = Outcome{Action: Kept, Reason: "held meanwhile"}
		return errors.Join(err, a.restore(ctx, e.Key, text))
	}
	for i := range e.Commit.Parts {
		if part := &e.Commit.Parts[i]; part.Key != "" {
			if err := a.Store.Delete(ctx, part.Key); err != nil {
				c.outcome = Outcome{} // the row stays for the next Apply, the parts for Sweep
				return err
			}
		}
	}
	return nil
}

// object returns what the store has under a key.
func (a *application) object(ctx context.Context, key string) ([]byte, error) {
	object, err := a.Store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(object, manifest.MaxCommit))
	return text, errors.Join(err, object.Close())
}

// restore writes a commit again, the same bytes.
func (a *application) restore(ctx context.Context, key string, text []byte) error {
	if err := a.Store.Create(ctx, key, bytes.NewReader(text)); err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("bring back the commit of a run that was held meanwhile: %w", err)
	}
	return nil
}
