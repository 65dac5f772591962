package fsck

import (
	"context"
	"errors"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Comparisons with the commits, after these were read. What was archived or deleted meanwhile is
// looked up again before anything is reported.

// sumOf returns the sum of a commit without embedded content, which neither the index nor segments
// have.
func sumOf(commit *manifest.Commit) (digest, error) {
	text, err := manifest.EncodeBare(commit)
	return digestOf(text), err
}

// exists reports whether a commit was listed, or exists now.
func (c *check) exists(ctx context.Context, key string) (bool, error) {
	if c.listed.find(key) != nil {
		return true, nil
	}
	_, err := c.Store.Stat(ctx, key)
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (c *check) holds(ctx context.Context) error {
	for info, err := range c.Store.List(ctx, c.Cluster.Holds(), "") {
		if err != nil {
			return err
		}
		_, run, err := layout.ParseHold(info.Key)
		if err != nil {
			c.found(Finding{Kind: Stranger, Key: info.Key, Detail: err.Error()})
			continue
		}
		c.totals.Holds++
		if err := c.archived(ctx, run, Finding{Kind: HeldNotArchived, Key: info.Key, Run: run.UID}); err != nil {
			return err
		}
	}
	return nil
}

// archived reports a finding if a run has no commit.
func (c *check) archived(ctx context.Context, run layout.Run, finding Finding) error {
	key, err := c.Cluster.Commit(run)
	if err != nil {
		return err
	}
	exists, err := c.exists(ctx, key)
	if err == nil && !exists {
		c.found(finding)
	}
	return err
}

func (c *check) segments(ctx context.Context) error {
	for info, err := range c.Store.List(ctx, c.Cluster.Segments(), "") {
		if err != nil {
			return err
		}
		if _, _, _, _, err := layout.ParseSegment(info.Key); err != nil {
			c.found(Finding{Kind: Stranger, Key: info.Key, Detail: err.Error()})
			continue
		}
		c.totals.Segments++
		if err := c.segment(ctx, info.Key); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) segment(ctx context.Context, key string) error {
	err := c.entries(ctx, key)
	if errors.Is(err, catalogue.ErrDamaged) {
		err = c.entries(ctx, key) // a cut connection looks like an object that ends too early
	}
	var stale staleError
	switch {
	case errors.Is(err, store.ErrNotExist):
		return nil // deleted after it was listed
	case errors.Is(err, catalogue.ErrDamaged):
		c.found(Finding{Kind: DamagedSegment, Key: key, Detail: err.Error()})
		return nil
	case errors.As(err, &stale):
		c.found(Finding{Kind: StaleSegment, Key: key, Run: stale.run, Detail: stale.commit})
		return nil
	}
	return err
}

// staleError names the first run of a segment that is not in the archive.
type staleError struct{ run, commit string }

func (e staleError) Error() string { return fmt.Sprintf("%s of %s", e.commit, e.run) }

func (c *check) entries(ctx context.Context, key string) error {
	segment, err := catalogue.Open(ctx, c.Store, key)
	if err != nil {
		return err
	}
	for e, err := range segment.Entries() {
		if err != nil {
			return err
		}
		same, err := c.same(ctx, e.Key, e.Commit)
		if err != nil {
			return err
		}
		if !same {
			return staleError{e.Commit.Run.Namespace + "/" + e.Commit.Run.Name, e.Key}
		}
	}
	return nil
}

// same reports whether a commit is the one in the store. It is true if that one cannot be read,
// which commits reports.
func (c *check) same(ctx context.Context, key string, commit *manifest.Commit) (bool, error) {
	want, err := sumOf(commit)
	if err != nil {
		return false, err
	}
	if listed := c.listed.find(key); listed != nil {
		return listed.is(want), nil
	}
	return c.exists(ctx, key)
}

// rows compares the index with the commits, in both directions.
func (c *check) rows(ctx context.Context) error {
	if c.Index == nil {
		return nil
	}
	for key, err := range c.Index.Keys(ctx, string(c.Cluster), "") {
		if err != nil {
			return err
		}
		if listed := c.listed.find(key); listed != nil {
			listed.marks |= inIndex
		}
		c.totals.Rows++
		if err := c.row(ctx, key); err != nil {
			return err
		}
	}
	return c.missingRows(ctx)
}

// missingRows reports commits without a row. Their keys are not kept: where there are any, the
// commits are listed again.
func (c *check) missingRows(ctx context.Context) error {
	left := c.listed.lackRows()
	if left == 0 {
		return nil
	}
	for info, err := range c.Store.List(ctx, c.Cluster.Commits(), "") {
		if err != nil {
			return err
		}
		if !c.listed.find(info.Key).lacksRow() {
			continue
		}
		_, err := c.get(ctx, info.Key)
		if errors.Is(err, index.ErrNotFound) {
			c.found(Finding{Kind: RowMissing, Key: info.Key})
			err = nil
		}
		if err != nil {
			return err
		}
		if left--; left == 0 {
			break
		}
	}
	return nil
}

func (c *check) get(ctx context.Context, key string) (index.Row, error) {
	_, run, err := layout.ParseCommit(key)
	if err != nil {
		return index.Row{}, err
	}
	return c.Index.Get(ctx, string(c.Cluster), run.UID)
}

func (c *check) row(ctx context.Context, key string) error {
	row, err := c.get(ctx, key)
	switch {
	case errors.Is(err, index.ErrNotFound):
		return nil // deleted after it was listed
	case errors.Is(err, index.ErrDamaged):
		c.found(Finding{Kind: RowDiffers, Key: key, Detail: err.Error()})
		return nil
	case err != nil:
		return err
	}
	run := row.Commit.Run.Namespace + "/" + row.Commit.Run.Name
	exists, err := c.exists(ctx, key)
	if err != nil {
		return err
	}
	if !exists {
		c.found(Finding{Kind: RowSurplus, Key: key, Run: run})
		return nil
	}
	same, err := c.same(ctx, key, row.Commit)
	if err == nil && !same {
		c.found(Finding{Kind: RowDiffers, Key: key, Run: run})
	}
	return err
}

func (c *check) marks(ctx context.Context) error {
	if c.Marked == nil {
		return nil
	}
	for m, err := range c.Marked {
		if err != nil {
			return err
		}
		c.totals.Marked++
		key, err := c.Cluster.Commit(m.Run)
		if err == nil {
			err = c.archived(ctx, m.Run, Finding{Kind: NotArchived, Key: key, Run: m.Namespace + "/" + m.Name})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
