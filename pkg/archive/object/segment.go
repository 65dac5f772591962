package object

import (
	"errors"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/archive/segment"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A segment has copies of generations that were the newest when it was written, of trees that begin
// with the same digits, in the order of their keys: lines of JSON as in the generations, in gzip.
// The last line has the number of lines before it and their digest:
//
//	{"apiVersion":"archive.indelible.dev/v1","cluster":"prod","kind":"Record",…}
//	{"objects":1,"sha256":"5f70bf18a0860070…"}
//
// A generation never changes, so a copy is current as long as its key is the newest one: readers of
// a segment list the keys first. Segments are a cache.

var segmentFormat = segment.Format{
	Counts: "objects", MaxPacked: 1 << 20, MaxObject: 1<<20 + 2*maxText, MaxLine: maxText + 1024,
}

func isDamagedSegment(err error) bool {
	return errors.Is(err, segment.ErrDamaged) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrVersion)
}

// Unreadable reports whether an error concerns only this object and is permanent: it is damaged,
// deleted, or of a later version.
func Unreadable(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrVersion) || errors.Is(err, store.ErrNotExist)
}

// segmentBuilder makes a segment and records the keys in it.
type segmentBuilder struct {
	*segment.Builder
	keys []string
}

func newSegmentBuilder() *segmentBuilder { return &segmentBuilder{Builder: segmentFormat.NewBuilder()} }

// add adds the JSON of a generation.
func (b *segmentBuilder) add(key string, text []byte) error {
	if err := b.Add(text); err != nil {
		return fmt.Errorf("object %s: %w: %w", key, ErrDamaged, err)
	}
	b.keys = append(b.keys, key)
	return nil
}
