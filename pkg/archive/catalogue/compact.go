package catalogue

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Settled is the time from the end of an hour until its runs go into a segment. Most of them have
// been archived by then; later ones go into another segment.
const Settled = 2 * time.Hour

// readers is the number of runs read at a time.
const readers = 8

// Options of Compact.
type Options struct {
	Store   store.Store
	Cluster layout.Cluster
	// Now decides which hours are over.
	Now time.Time
	// From is the first hour to compact, zero for all. With it, a periodic compaction need not list
	// years of commits.
	From time.Time
	// Keys yields, in order, the keys of commits after the key after, for example from an index.
	// That saves listing the store, which is one request per thousand keys. nil lists the store.
	Keys func(ctx context.Context, after string) iter.Seq2[string, error]
	// Passed, if not nil, is called for each damaged segment and for each commit or record that
	// cannot be read.
	Passed func(key string, err error)
}

// Totals of one call of Compact.
type Totals struct {
	Segments, Commits int
}

// Compact writes segments for runs that are in no segment and whose hour is over. It holds one
// segment and the keys of one hour in memory. If it is killed, the next call continues. Concurrent
// calls duplicate work and do no harm.
func Compact(ctx context.Context, o Options) (Totals, error) {
	if o.Passed == nil {
		o.Passed = func(string, error) {}
	}
	c := &compaction{Options: o}
	var err error
	if c.segments, err = listSegments(ctx, o.Store, o.Cluster, o.From); err != nil {
		return c.totals, fmt.Errorf("compact: %w", err)
	}
	var hour []string
	var at time.Time
	for key, err := range c.commits(ctx) {
		if err != nil {
			return c.totals, fmt.Errorf("compact: %w", err)
		}
		_, run, err := layout.ParseCommit(key)
		if err != nil {
			continue // reported by fsck
		}
		if h := layout.HourOf(run); !h.Equal(at) {
			if err := c.hour(ctx, at, hour); err != nil {
				return c.totals, err
			}
			at, hour = h, hour[:0]
		}
		hour = append(hour, key)
	}
	return c.totals, c.hour(ctx, at, hour)
}

type compaction struct {
	Options
	totals Totals
	// segments are those that existed at the start, by hour.
	segments map[time.Time]segments
}

// segments of an hour, and the number of commits according to their keys.
type segments struct {
	keys    []string
	commits int
}

// commits yields the keys of commits from the first hour on.
func (c *compaction) commits(ctx context.Context) iter.Seq2[string, error] {
	if c.Keys != nil {
		after := ""
		if !c.From.IsZero() {
			// Sorts after all keys of the hour before: no UID sorts after this one.
			before := layout.Run{Created: c.From.Truncate(time.Hour).Add(-time.Second), UID: strings.Repeat("z", 64)}
			var err error
			if after, err = c.Cluster.Commit(before); err != nil {
				return func(yield func(string, error) bool) { yield("", err) }
			}
		}
		return c.Keys(ctx, after)
	}
	return func(yield func(string, error) bool) {
		after := ""
		if !c.From.IsZero() {
			after = c.Cluster.CommitsIn(c.From)
		}
		for info, err := range c.Store.List(ctx, c.Cluster.Commits(), after) {
			if !yield(info.Key, err) || err != nil {
				return
			}
		}
	}
}

// hour writes the segments missing for an hour, if it is over. keys are all its commits.
func (c *compaction) hour(ctx context.Context, at time.Time, keys []string) error {
	if len(keys) == 0 || c.Now.Before(at.Add(time.Hour+Settled)) {
		return nil
	}
	existing := c.segments[at]
	if existing.commits == len(keys) { // the same commits: retention removes deleted ones
		return nil
	}
	keys, err := c.missing(ctx, existing.keys, keys)
	if err == nil {
		err = c.write(ctx, at, keys)
	}
	if err != nil {
		return fmt.Errorf("compact %s: %w", at.Format("2006-01-02 15h"), err)
	}
	return nil
}

// listSegments returns the segments of the hour first and later, or all if it is zero.
func listSegments(
	ctx context.Context, from store.Store, cluster layout.Cluster, first time.Time,
) (map[time.Time]segments, error) {
	all, after := map[time.Time]segments{}, ""
	if !first.IsZero() {
		after = cluster.SegmentsIn(first)
	}
	for info, err := range from.List(ctx, cluster.Segments(), after) {
		if err != nil {
			return nil, fmt.Errorf("list segments: %w", err)
		}
		_, at, _, n, err := layout.ParseSegment(info.Key)
		if err != nil {
			continue // reported by fsck
		}
		s := all[at]
		all[at] = segments{append(s.keys, info.Key), s.commits + n}
	}
	return all, nil
}

// missing returns the keys that are in no intact segment. It deletes damaged segments.
func (c *compaction) missing(ctx context.Context, segments, keys []string) ([]string, error) {
	held := map[string]bool{}
	for _, key := range segments {
		found, err := keysOf(ctx, c.Store, key)
		if errors.Is(err, ErrDamaged) {
			c.Passed(key, err)
			err = c.Store.Delete(ctx, key) // it is of no use, and its commits would be counted again
		} else if errors.Is(err, store.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return nil, err
		}
		for _, k := range found {
			held[k] = true
		}
	}
	var left []string
	for _, key := range keys {
		if !held[key] {
			left = append(left, key)
		}
	}
	return left, nil
}

func keysOf(ctx context.Context, from store.Store, segment string) ([]string, error) {
	s, err := Open(ctx, from, segment)
	if err != nil {
		return nil, err
	}
	var keys []string
	for e, err := range s.Entries() {
		if err != nil {
			return nil, err
		}
		keys = append(keys, e.Key)
	}
	return keys, nil
}

// write writes runs to as many segments as needed.
func (c *compaction) write(ctx context.Context, at time.Time, keys []string) error {
	b := newBuilder()
	for len(keys) > 0 {
		n := min(readers, len(keys))
		entries, err := c.load(ctx, keys[:n])
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Commit == nil {
				continue
			}
			if err := b.add(e); err != nil {
				c.Passed(e.Key, err)
			}
		}
		keys = keys[n:]
		if b.Full() || len(keys) == 0 {
			if err := c.create(ctx, at, b); err != nil {
				return err
			}
			b = newBuilder()
		}
	}
	return nil
}

// load reads runs concurrently and returns them in the order of keys. A run that is unreadable has
// a nil Commit.
func (c *compaction) load(ctx context.Context, keys []string) ([]Entry, error) {
	entries, failed := make([]Entry, len(keys)), make([]error, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	for i, key := range keys {
		group.Go(func() error {
			entries[i], failed[i] = Load(ctx, c.Store, key)
			if err := failed[i]; err != nil && !Unreadable(err) {
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, err := range failed {
		if err != nil {
			c.Passed(keys[i], err)
		}
	}
	return entries, nil
}

// Unreadable reports whether an error of Load concerns only this run and is permanent: it is
// damaged, deleted, or of a later version.
func Unreadable(err error) bool {
	return errors.Is(err, manifest.ErrDamaged) || errors.Is(err, manifest.ErrVersion) ||
		errors.Is(err, store.ErrNotExist)
}

// create stores a segment, and deletes it if one of its runs has been deleted meanwhile: Forget may
// have listed segments before this one existed.
func (c *compaction) create(ctx context.Context, at time.Time, b *builder) error {
	if len(b.keys) == 0 {
		return nil
	}
	data, err := b.Finish()
	if err != nil {
		return err
	}
	key, err := c.Cluster.Segment(at, strings.ToLower(rand.Text()), len(b.keys))
	if err != nil {
		return err
	}
	if err := c.Store.Create(ctx, key, bytes.NewReader(data)); err != nil {
		return fmt.Errorf("store segment: %w", err)
	}
	stale, err := c.stale(ctx, at, b.keys)
	if err != nil || stale {
		return errors.Join(err, c.Store.Delete(context.WithoutCancel(ctx), key))
	}
	c.totals.Segments++
	c.totals.Commits += len(b.keys)
	return nil
}

// stale reports whether one of an hour's commits no longer exists.
func (c *compaction) stale(ctx context.Context, at time.Time, keys []string) (bool, error) {
	exists := map[string]bool{}
	for info, err := range c.Store.List(ctx, c.Cluster.CommitsIn(at), "") {
		if err != nil {
			return false, err
		}
		exists[info.Key] = true
	}
	return slices.ContainsFunc(keys, func(key string) bool { return !exists[key] }), nil
}

// Stale reports whether a segment is damaged or has a run whose commit no longer exists. The caller
// deletes it then.
func Stale(ctx context.Context, from store.Store, key string, exists func(commit string) bool) (bool, error) {
	keys, err := keysOf(ctx, from, key)
	switch {
	case errors.Is(err, store.ErrNotExist):
		return false, nil
	case errors.Is(err, ErrDamaged):
		return true, nil
	}
	return slices.ContainsFunc(keys, func(key string) bool { return !exists(key) }), err
}
