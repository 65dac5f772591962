package index

import (
	"context"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// SyncOptions say what to bring up to date.
type SyncOptions struct {
	Store   store.Store
	Index   Index
	Cluster layout.Cluster
	// Damaged is told of each commit that cannot be indexed, and of segments that are passed over. The run stays out of the
	// index; fsck says more. It may be nil.
	Damaged func(key string, err error)
	// Progress is told how far it is, now and then. It may be nil.
	Progress func(SyncTotals)
}

// SyncTotals count what Sync did.
type SyncTotals struct {
	// Commits are those in the bucket; Added and Deleted rows; FromSegments those of Added that cost no reads of their own.
	Commits, Added, FromSegments, Deleted int
	// Damaged counts commits and objects that could not be indexed.
	Damaged int
	// Objects are those that tools wrote, ObjectsAdded and ObjectsDeleted rows of them.
	Objects, ObjectsAdded, ObjectsDeleted int
}

// Sync makes an index say what a bucket's commits say: rows that are missing are added, and rows whose commit is gone are deleted. It
// holds the keys of one hour in memory, one segment and some runs. A run that is archived or deleted meanwhile is in the
// index or not, as its archiver or retention leaves it. An error says that it did not come to the end; it may begin again.
//
// Rows that are there are not compared with the bucket: fsck does that.
func Sync(ctx context.Context, o SyncOptions) (SyncTotals, error) {
	s := newSyncing(o)
	err := s.compare(ctx)
	if err == nil {
		err = s.add(ctx)
	}
	if err == nil {
		err = s.delete(ctx)
	}
	if err == nil {
		err = s.syncObjects(ctx)
	}
	if err == nil {
		err = o.Index.SetComplete(ctx, string(o.Cluster), true)
	}
	s.Progress(s.totals)
	if err != nil {
		return s.totals, fmt.Errorf("bring the index up to date: %w", err)
	}
	return s.totals, nil
}

// SyncObjects is Sync of what tools wrote, and of nothing else: whoever writes an object and dies before
// its row leaves the row behind until then. It lists the keys of all objects.
func SyncObjects(ctx context.Context, o SyncOptions) (SyncTotals, error) {
	s := newSyncing(o)
	if err := s.syncObjects(ctx); err != nil {
		return s.totals, fmt.Errorf("bring the index of objects up to date: %w", err)
	}
	return s.totals, nil
}

func newSyncing(o SyncOptions) *syncing {
	if o.Damaged == nil {
		o.Damaged = func(string, error) {}
	}
	if o.Progress == nil {
		o.Progress = func(SyncTotals) {}
	}
	return &syncing{SyncOptions: o}
}

// Rebuild is Sync of an index that is emptied first, of the one cluster.
func Rebuild(ctx context.Context, o SyncOptions) (SyncTotals, error) {
	if err := o.Index.SetComplete(ctx, string(o.Cluster), false); err != nil {
		return SyncTotals{}, err
	}
	var uids []string
	flush := func() error {
		err := o.Index.Delete(ctx, string(o.Cluster), uids...)
		uids = uids[:0]
		return err
	}
	for key, err := range o.Index.Keys(ctx, string(o.Cluster), "") {
		if err != nil {
			return SyncTotals{}, err
		}
		_, run, err := layout.ParseCommit(key)
		if err != nil {
			return SyncTotals{}, err
		}
		if uids = append(uids, run.UID); len(uids) == page {
			if err := flush(); err != nil {
				return SyncTotals{}, err
			}
		}
	}
	if err := flush(); err != nil {
		return SyncTotals{}, err
	}
	if err := deleteObjects(ctx, o); err != nil {
		return SyncTotals{}, err
	}
	return Sync(ctx, o)
}
