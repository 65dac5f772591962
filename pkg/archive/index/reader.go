package index

import (
	"context"
	"time"
)

// Reader is what the query API reads of an index. It does not know filters: it finds entries by
// what is indexed and returns their columns, for the caller to filter.
type Reader interface {
	// Groups returns the groups of a cluster. The caller must not change them.
	Groups(ctx context.Context, cluster string) ([]Group, error)
	// Entries returns entries in order, without their records.
	Entries(ctx context.Context, s Scan) ([]Entry, error)
	// Load reads the records and commits of entries.
	Load(ctx context.Context, entries []*Entry) error
	// Results returns Results in order.
	Results(ctx context.Context, s ResultScan) ([]ResultEntry, error)
	// Counts counts entries.
	Counts(ctx context.Context, s CountScan) ([]Count, error)
	// Complete is Index.Complete.
	Complete(ctx context.Context, cluster string) (bool, error)
}

// Micros converts a time of an entry.
func Micros(at int64) time.Time { return time.UnixMicro(at).UTC() }
