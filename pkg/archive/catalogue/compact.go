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

// Settled is how long an hour must be over before its runs go into a segment: most of them have been archived by then. Those that come
// later go into another.
const Settled = 2 * time.Hour

// readers is how many runs are read at a time.
const readers = 8

// Options say what to compact.
type Options struct {
	Store   store.Store
	Cluster layout.Cluster
	// Now is the time by which hours are over.
	Now time.Time
	// From is the first hour that is looked at: zero for all there are. Who compacts every hour need not list years each time.
	From time.Time
	// Keys yields the keys of the commits that come after one, in their order, as an index has them: then they are not listed in the
	// store, which would cost a request for each thousand. nil lists them.
	Keys func(ctx context.Context, after string) iter.Seq2[string, error]
	// Passed is told of what does not go into segments: a commit or record that is damaged, a segment that is. It may be nil.
	Passed func(key string, err error)
}

// Totals count what Compact did.
type Totals struct {
	Segments, Commits int
}

// Compact writes segments for runs whose hour is over and that are in none yet. It holds one segment in memory, and the
// keys of one hour. Killed at any point it leaves what the next one goes on from; two at once do the same work twice and no harm.
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
			continue // fsck names it
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
	// segments are those that there were at the beginning, by their hours.
	segments map[time.Time]segments
}

// segments are those of an hour, and how many commits they say they have.
type segments struct {
	keys    []string
	commits int
}

// commits yields the keys of commits from the first hour on.
func (c *compaction) commits(ctx context.Context) iter.Seq2[string, error] {
	if c.Keys != nil {
		after := ""
		if !c.From.IsZero() {
			// The last key of the hour before: no UID sorts behind that.
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

// hour makes what segments an hour needs, where it is over. keys are all its commits.
func (c *compaction) hour(ctx context.Context, at time.Time, keys []string) error {
	if len(keys) == 0 || c.Now.Before(at.Add(time.Hour+Settled)) {
		return nil
	}
	there := c.segments[at]
	if there.commits == len(keys) { // they are those, or retention would have taken them out
		return nil
	}
	keys, err := c.missing(ctx, there.keys, keys)
	if err == nil {
		err = c.write(ctx, at, keys)
	}
	if err != nil {
		return fmt.Errorf("compact %s: %w", at.Format("2006-01-02 15h"), err)
	}
	return nil
}

// listSegments returns those of an hour and later, by their hours; of all hours if it is zero.
func listSegments(ctx context.Context, from store.Store, cluster layout.Cluster, first time.Time) (map[time.Time]segments, error) {
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
			continue // fsck names it
		}
		s := all[at]
		all[at] = segments{append(s.keys, info.Key), s.commits + n}
	}
	return all, nil
}

// missing returns those keys that no whole segment has.
func (c *compaction) missing(ctx context.Context, segments, keys []string) ([]string, error) {
	held := map[string]bool{}
	for _, key := range segments {
		found, err := keysOf(ctx, c.Store, key)
		if errors.Is(err, ErrDamaged) {
			c.Passed(key, err)
			err = c.Store.Delete(ctx, key) // it is of no use, and would be counted again
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

// write puts runs into as many segments as they need.
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

// load reads some runs at once, in the order of their keys. Those that cannot be read are passed over, and have no commit.
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

// Unreadable says of an error of Load that it is the run's own, and reading again will not help: damaged, gone, or of a later version.
func Unreadable(err error) bool {
	return errors.Is(err, manifest.ErrDamaged) || errors.Is(err, manifest.ErrVersion) || errors.Is(err, store.ErrNotExist)
}

// create stores a segment, and takes it back where a run in it was deleted meanwhile: whoever deleted it has looked for segments
// already, perhaps before this one was there.
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

// stale says whether the bucket no longer has one of an hour's commits.
func (c *compaction) stale(ctx context.Context, at time.Time, keys []string) (bool, error) {
	there := map[string]bool{}
	for info, err := range c.Store.List(ctx, c.Cluster.CommitsIn(at), "") {
		if err != nil {
			return false, err
		}
		there[info.Key] = true
	}
	return slices.ContainsFunc(keys, func(key string) bool { return !there[key] }), nil
}

// Stale says whether a segment has a run whose commit is not there, or is damaged: then it is to be deleted.
func Stale(ctx context.Context, from store.Store, key string, there func(commit string) bool) (bool, error) {
	keys, err := keysOf(ctx, from, key)
	switch {
	case errors.Is(err, store.ErrNotExist):
		return false, nil
	case errors.Is(err, ErrDamaged):
		return true, nil
	}
	return slices.ContainsFunc(keys, func(key string) bool { return !there(key) }), err
}
