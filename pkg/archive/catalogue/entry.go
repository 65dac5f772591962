// Package catalogue maintains segments. A segment is one object with copies of the commits and
// records of many runs that were created in the same hour. Building an index from segments takes
// far fewer requests than from two objects per run.
//
// Segments are a cache: only commits say what is archived. Any segment may be deleted at any time,
// and damaged ones are ignored. Retention must remove deleted runs from segments (Forget), because
// these have their data.
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
	// Key is the key of the commit.
	Key string
	// Commit is bare if it was read from a segment.
	Commit *manifest.Commit
	// Record is the content of the run's record.
	Record []byte
}

// maxRecord bounds a record. etcd's default limit for objects is 1.5 MiB, but it can be raised.
const maxRecord = 16 << 20

// Load reads a run's commit and record from the run's own objects, and verifies them. Errors are
// those of manifest.Read and manifest.Open. It reads again before it reports damage: a cut
// connection looks like an object that ends too early.
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
		return Entry{}, fmt.Errorf("record %s: %w: %d bytes, at most %d are read", part.Key, manifest.ErrDamaged,
			part.Content.Bytes, maxRecord)
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
