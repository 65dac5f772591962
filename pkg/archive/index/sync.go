package index

import (
	"context"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// SyncOptions say what to update.
type SyncOptions struct {
	Store   store.Store
	Index   Index
	Cluster layout.Cluster
	// Damaged is called for each commit that cannot be indexed, whose run stays out of the index,
	// and for each damaged segment. fsck gives details. It may be nil.
	Damaged func(key string, err error)
	// Progress is called from time to time. It may be nil.
	Progress func(SyncTotals)
}

// SyncTotals count what Sync did.
type SyncTotals struct {
	// Commits is the number in the bucket, Added and Deleted count rows, and FromSegments those of
	// Added that needed no read of their own.
	Commits, Added, FromSegments, Deleted int
	// Damaged counts commits and objects that could not be indexed.
	Damaged int
	// Objects is the number in the bucket, ObjectsAdded and ObjectsDeleted count rows.
	Objects, ObjectsAdded, ObjectsDeleted int
}

// Sync updates an index from a bucket: it adds missing rows, and deletes rows whose commit is gone.
// It holds the keys of one hour in memory, one segment and some runs. A run that is archived or
// deleted meanwhile is left as its archiver or retention leaves it. After an error it can be
// started again.
//
// What the index refuses for what it is, is reported and left out like what is damaged: one run
// must not keep the index from being complete for all. Retention does not rely on it (see
// retention's trees).
//
// It does not compare existing rows with the bucket; fsck does.
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

// SyncObjects is Sync for objects of tools only: a writer that dies after writing an object and
// before its row leaves the index behind. It lists the keys of all objects.
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

// Rebuild empties the index of one cluster, and calls Sync.
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
