package catalogue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Forget removes runs from segments: it replaces each segment that has one of them by a copy
// without them. Other runs of the hour stay in the catalogue. Call it after the commits of the runs
// have been deleted. If it is killed or fails, segments with data of these runs remain until it is
// called again or the sweep deletes them.
func Forget(ctx context.Context, to store.Store, cluster layout.Cluster, runs ...layout.Run) error {
	hours := map[time.Time]map[string]bool{}
	for _, run := range runs {
		key, err := cluster.Commit(run)
		if err != nil {
			return fmt.Errorf("forget run %s: %w", run.UID, err)
		}
		at := layout.HourOf(run)
		if hours[at] == nil {
			hours[at] = map[string]bool{}
		}
		hours[at][key] = true
	}
	for at, forgotten := range hours {
		c := &compaction{Options: Options{Store: to, Cluster: cluster, Passed: func(string, error) {}}}
		if err := c.forget(ctx, at, forgotten); err != nil {
			return fmt.Errorf("forget runs of %s: %w", at.Format("2006-01-02 15h"), err)
		}
	}
	return nil
}

// forget replaces the segments of an hour that have one of the forgotten commits.
func (c *compaction) forget(ctx context.Context, at time.Time, forgotten map[string]bool) error {
	var existing []string
	for info, err := range c.Store.List(ctx, c.Cluster.SegmentsIn(at), "") {
		if err != nil {
			return fmt.Errorf("list segments: %w", err)
		}
		if _, _, _, _, err := layout.ParseSegment(info.Key); err == nil {
			existing = append(existing, info.Key)
		}
	}
	for _, key := range existing {
		rest, affected, err := c.without(ctx, key, forgotten)
		if errors.Is(err, store.ErrNotExist) {
			continue
		}
		if err == nil && affected {
			if err = c.create(ctx, at, rest); err == nil {
				err = c.Store.Delete(ctx, key)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// without returns a copy of a segment without the forgotten commits, and whether it had any. A
// damaged segment counts as affected, with an empty copy: it may have anything.
func (c *compaction) without(
	ctx context.Context, key string, forgotten map[string]bool,
) (rest *builder, affected bool, err error) {
	rest = newBuilder()
	s, err := Open(ctx, c.Store, key)
	if err == nil {
		for e, entryErr := range s.Entries() {
			if err = entryErr; err != nil {
				break
			}
			if forgotten[e.Key] {
				affected = true
			} else if err = rest.add(e); err != nil {
				break
			}
		}
	}
	if errors.Is(err, ErrDamaged) {
		return newBuilder(), true, nil
	}
	return rest, affected, err
}
