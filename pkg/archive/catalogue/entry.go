// Package catalogue keeps segments: copies of the commits and records of many runs that were created in the same hour, in one object. Who
// makes an index from nothing then reads as many bytes as there are, and not two objects for each run.
//
// Segments are a cache. What a bucket has is said by its commits alone: any segment may be deleted at any time, and one that is
// damaged is passed over. Only retention must not leave them (Forget): there is data of deleted runs in them.
package catalogue

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Entry is one archived run.
type Entry struct {
	// Key is the commit's.
	Key string
	// Commit is bare when it comes from a segment.
	Commit *manifest.Commit
	// Record is the run's, as its commit says.
	Record []byte
}

// maxRecord bounds a record: etcd takes no objects over 1.5 MiB, and what writes them may be allowed more.
const maxRecord = 16 << 20

// Load reads a run's commit and record from its own objects, and compares. Errors are manifest.Read's and manifest.Open's. What
// looks damaged is read again before it is believed: a connection that broke looks like an object that ends.
func Load(ctx context.Context, from store.Store, key string) (Entry, error) {
	e, err := load(ctx, from, key)
	if errors.Is(err, manifest.ErrDamaged) {
		e, err = load(ctx, from, key)
	}
	return e, err
}

func load(ctx context.Context, from store.Store, key string) (Entry, error) {
	commit, err := manifest.Read(ctx, from, key)
	if err != nil {
		return Entry{}, err
	}
	part := &commit.Parts[0]
	if part.Content.Bytes > maxRecord {
		return Entry{}, fmt.Errorf("record %s: %w: %d bytes, at most %d are read", part.Key, manifest.ErrDamaged, part.Content.Bytes, maxRecord)
	}
	object, err := manifest.Open(ctx, from, part)
	if err != nil {
		return Entry{}, err
	}
	record, err := io.ReadAll(object)
	if err = errors.Join(err, object.Close()); err != nil {
		return Entry{}, err
	}
	return Entry{Key: key, Commit: commit, Record: record}, nil
}
