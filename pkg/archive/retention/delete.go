package retention

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const (
	// workers is how many runs are deleted at a time, batch after how many the index and the segments follow.
	workers = 16
	batch   = 256
)

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
