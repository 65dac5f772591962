package index

import (
	"context"
	"time"
)

// Reader is what the query API reads of an index. It knows nothing of filters: it finds entries by what is indexed, and says what its columns say
// of them, so that somebody else decides.
type Reader interface {
	// Groups returns the groups of a cluster, in no order. The caller must not change them.
	Groups(ctx context.Context, cluster string) ([]Group, error)
	// Entries returns entries in order, without their records.
	Entries(ctx context.Context, s Scan) ([]Entry, error)
	// Load reads the records of entries, with their commits if that is asked for.
	Load(ctx context.Context, entries []*Entry) error
	// Results returns Results in order.
	Results(ctx context.Context, s ResultScan) ([]ResultEntry, error)
	// Counts counts entries.
	Counts(ctx context.Context, s CountScan) ([]Count, error)
	// Complete is Index's.
	Complete(ctx context.Context, cluster string) (bool, error)
}

// Micros converts what an entry has.
func Micros(at int64) time.Time { return time.UnixMicro(at).UTC() }
