package index

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// loaders is how many runs are read from the bucket, or put, at a time. A record may have a
// megabyte.
const loaders = 16

// Rows of a segment are put together, as a statement costs as much as some rows, up to this many
// rows and bytes of records per loader.
const rowsAtOnce, bytesAtOnce = 64, 512 << 10

// syncing is one call of Sync. missing are keys without a row, all of one hour; surplus are keys of
// rows without a commit.
type syncing struct {
	SyncOptions
	totals           SyncTotals
	hour             time.Time
	missing, surplus []string
}

// compare compares both lists, which have the same order.
func (s *syncing) compare(ctx context.Context) error {
	next, stop := iter.Pull2(s.Index.Keys(ctx, string(s.Cluster), ""))
	defer stop()
	row, err, more := next()
	for info, listErr := range s.Store.List(ctx, s.Cluster.Commits(), "") {
		if listErr != nil {
			return listErr
		}
		_, run, parseErr := layout.ParseCommit(info.Key)
		if parseErr != nil {
			continue // fsck reports it
		}
		s.totals.Commits++
		for ; more && err == nil && row < info.Key; row, err, more = next() {
			if err := s.tooMuch(ctx, row); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if more && row == info.Key {
			row, err, more = next()
			continue
		}
		if err := s.tooLittle(ctx, info.Key, layout.HourOf(run)); err != nil {
			return err
		}
	}
	for ; more && err == nil; row, err, more = next() {
		if err := s.tooMuch(ctx, row); err != nil {
			return err
		}
	}
	return err
}

func (s *syncing) tooLittle(ctx context.Context, key string, hour time.Time) error {
	if !hour.Equal(s.hour) {
		if err := s.add(ctx); err != nil {
			return err
		}
		s.hour = hour
	}
	s.missing = append(s.missing, key)
	return nil
}

func (s *syncing) tooMuch(ctx context.Context, key string) error {
	if s.surplus = append(s.surplus, key); len(s.surplus) < page {
		return nil
	}
	return s.delete(ctx)
}

// delete removes rows whose commits are gone. It asks for each commit: it may have been written
// after its place in the list was read.
func (s *syncing) delete(ctx context.Context) error {
	var gone []string
	for _, key := range s.surplus {
		_, run, err := layout.ParseCommit(key)
		if err != nil {
			return err
		}
		switch _, err := s.Store.Stat(ctx, key); {
		case errors.Is(err, store.ErrNotExist):
			gone = append(gone, run.UID)
		case err != nil:
			return err
		}
	}
	s.surplus = s.surplus[:0]
	s.totals.Deleted += len(gone)
	return s.Index.Delete(ctx, string(s.Cluster), gone...)
}

// add adds the missing runs of an hour: from segments if possible, the rest one by one.
func (s *syncing) add(ctx context.Context) error {
	if len(s.missing) == 0 {
		return nil
	}
	left := make(map[string]bool, len(s.missing))
	for _, key := range s.missing {
		left[key] = true
	}
	if err := s.fromSegments(ctx, left); err != nil {
		return err
	}
	if err := s.fromObjects(ctx, left); err != nil {
		return err
	}
	s.missing = s.missing[:0]
	s.Progress(s.totals)
	return nil
}

func (s *syncing) fromSegments(ctx context.Context, left map[string]bool) error {
	for info, err := range s.Store.List(ctx, s.Cluster.SegmentsIn(s.hour), "") {
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		err = s.fromSegment(ctx, info.Key, left)
		if errors.Is(err, catalogue.ErrDamaged) {
			s.Damaged(info.Key, err) // its runs are read one by one
			err = nil
		} else if errors.Is(err, store.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *syncing) fromSegment(ctx context.Context, key string, left map[string]bool) error {
	segment, err := catalogue.Open(ctx, s.Store, key)
	if err != nil {
		return err
	}
	p := s.newPutting(ctx)
	var damaged error
	for e, err := range segment.Entries() {
		if damaged = err; err != nil || p.ctx.Err() != nil {
			break
		}
		if !left[e.Key] {
			continue
		}
		delete(left, e.Key)
		s.totals.Added++
		s.totals.FromSegments++
		p.add(Row{Commit: e.Commit, Record: e.Record})
	}
	p.flush()
	err = errors.Join(p.group.Wait(), damaged)
	for _, key := range p.refused { // fromObjects tries the run's own commit
		left[key] = true
	}
	s.totals.Added -= len(p.refused)
	s.totals.FromSegments -= len(p.refused)
	return err
}

// putting puts rows of a segment, some at a time.
type putting struct {
	*syncing
	group *errgroup.Group
	ctx   context.Context //nolint:containedctx // it ends with the group
	rows  []Row
	size  int

	mu sync.Mutex
	// refused are keys of rows that the index refused.
	refused []string
}

func (s *syncing) newPutting(ctx context.Context) *putting {
	p := &putting{syncing: s}
	p.group, p.ctx = errgroup.WithContext(ctx)
	p.group.SetLimit(loaders)
	return p
}

func (p *putting) add(row Row) {
	p.rows, p.size = append(p.rows, row), p.size+len(row.Record)
	if len(p.rows) == rowsAtOnce || p.size > bytesAtOnce {
		p.flush()
	}
}

func (p *putting) flush() {
	if some := p.rows; len(some) > 0 {
		p.group.Go(func() error { return p.put(some) })
	}
	p.rows, p.size = nil, 0
}

// put puts rows together, and if one is refused, each alone.
func (p *putting) put(rows []Row) error {
	if err := p.Index.Put(p.ctx, rows...); !errors.Is(err, ErrRefused) {
		return err
	}
	for _, row := range rows {
		err := p.Index.Put(p.ctx, row)
		if err == nil {
			continue
		}
		key, keyErr := row.Commit.Key()
		if !errors.Is(err, ErrRefused) || keyErr != nil {
			return errors.Join(err, keyErr)
		}
		p.mu.Lock()
		p.refused = append(p.refused, key)
		p.mu.Unlock()
	}
	return nil
}

func (s *syncing) fromObjects(ctx context.Context, left map[string]bool) error {
	type outcome struct {
		key string
		err error
	}
	results := make(chan outcome, len(left))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(loaders)
	for key := range left {
		group.Go(func() error {
			e, err := catalogue.Load(ctx, s.Store, key)
			if err != nil && !catalogue.Unreadable(err) {
				return err
			}
			if err == nil {
				err = s.Index.Put(ctx, Row{Commit: e.Commit, Record: e.Record})
				if err != nil && !errors.Is(err, ErrRefused) {
					return err
				}
			}
			results <- outcome{key, err}
			return nil
		})
	}
	err := group.Wait()
	close(results)
	for r := range results {
		if r.err == nil {
			s.totals.Added++
			continue
		}
		if s.gone(ctx, r.key, r.err) {
			continue
		}
		s.totals.Damaged++
		s.Damaged(r.key, r.err)
	}
	return err
}

// gone says whether the run was deleted since it was listed, which is no error.
func (s *syncing) gone(ctx context.Context, key string, err error) bool {
	if !errors.Is(err, store.ErrNotExist) {
		return false
	}
	_, err = s.Store.Stat(context.WithoutCancel(ctx), key)
	return errors.Is(err, store.ErrNotExist)
}
