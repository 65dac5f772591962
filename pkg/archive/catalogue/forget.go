package catalogue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Forget takes runs out of segments: each that has one of them is written anew without, and deleted. So what a policy deletes of an hour costs the
// others nothing, however old they are. It is called after the runs' commits were deleted. Killed at any point, or with an error, it
// leaves segments that have data of theirs, which Sweep deletes, and who calls it again.
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

// forget writes those segments of an hour anew that have a commit which is to be forgotten.
func (c *compaction) forget(ctx context.Context, at time.Time, forgotten map[string]bool) error {
	var there []string
	for info, err := range c.Store.List(ctx, c.Cluster.SegmentsIn(at), "") {
		if err != nil {
			return fmt.Errorf("list segments: %w", err)
		}
		if _, _, _, _, err := layout.ParseSegment(info.Key); err == nil {
			there = append(there, info.Key)
		}
	}
	for _, key := range there {
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

// without copies a segment without what is to be forgotten. One that is damaged is of no use, and may have anything.
func (c *compaction) without(ctx context.Context, key string, forgotten map[string]bool) (rest *builder, affected bool, err error) {
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
