package object

import (
	"errors"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/archive/segment"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A segment has copies of the generations that were the newest when it was written, of trees that
// begin with the same digits, in the order of their keys: lines of JSON as they are stored, in
// gzip. The last line says what came before it:
//
//	{"apiVersion":"archive.indelible.dev/v1","cluster":"prod","kind":"Record",…}
//	{"objects":1,"sha256":"5f70bf18a0860070…"}
//
// A generation never changes, so a copy is right as long as its key is the newest: who reads a
// segment has listed the keys. Segments are a cache.

var segmentFormat = segment.Format{
	Counts: "objects", MaxPacked: 1 << 20, MaxObject: 1<<20 + 2*maxText, MaxLine: maxText + 1024,
}

func isDamagedSegment(err error) bool {
	return errors.Is(err, segment.ErrDamaged) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrVersion)
}

// Unreadable says of an error that it is the object's own, and reading again will not help:
// damaged, gone, or of a later version.
func Unreadable(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrVersion) || errors.Is(err, store.ErrNotExist)
}

// segmentBuilder makes a segment, and knows the keys of what is in it.
type segmentBuilder struct {
	*segment.Builder
	keys []string
}

func newSegmentBuilder() *segmentBuilder { return &segmentBuilder{Builder: segmentFormat.NewBuilder()} }

// add adds the text of a generation.
func (b *segmentBuilder) add(key string, text []byte) error {
	if err := b.Add(text); err != nil {
		return fmt.Errorf("object %s: %w: %w", key, ErrDamaged, err)
	}
	b.keys = append(b.keys, key)
	return nil
}
