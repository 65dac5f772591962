// Package segment writes and reads segments: lines of JSON in gzip, of which the last says how many
// came before it and their digest. pkg/archive/catalogue has copies of runs in them, and
// pkg/archive/object of what tools wrote; docs/archive-format.md describes both.
//
//	{"commit":{…},"record":{…}}
//	{"commits":1,"sha256":"5f70bf18a0860070…"}
package segment

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// ErrDamaged is the error of a segment that is not whole.
var ErrDamaged = errors.New("the segment is damaged")

// Format is what segments of a kind have.
type Format struct {
	// Counts is the field of the last line that says how many lines came before.
	Counts string
	// MaxPacked is when a segment is full, in bytes as stored. It is held in memory whole, by who writes it
	// and by who reads it.
	MaxPacked int
	// MaxObject is more than any segment has, in bytes as stored: one line may come on top of MaxPacked.
	MaxObject int
	// MaxLine bounds a line, in bytes.
	MaxLine int
}

// Builder makes a segment in memory.
type Builder struct {
	format Format
	packed bytes.Buffer
	gzip   *gzip.Writer
	hash   hash.Hash
	count  int
}

// NewBuilder returns one without lines.
func (f Format) NewBuilder() *Builder {
	b := &Builder{format: f, hash: sha256.New()}
	b.gzip = gzip.NewWriter(&b.packed)
	return b
}

// Add adds a line, which ends with its only newline.
func (b *Builder) Add(line []byte) error {
	if bytes.IndexByte(line, '\n') != len(line)-1 {
		return errors.New("it is not one line")
	}
	b.count++
	_, _ = b.hash.Write(line)
	_, err := b.gzip.Write(line)
	return err
}

// Full says that no more should be added.
func (b *Builder) Full() bool { return b.packed.Len() >= b.format.MaxPacked }

// Finish returns the object. Nothing can be added any more.
func (b *Builder) Finish() ([]byte, error) {
	_, err := fmt.Fprintf(b.gzip, "{%q:%d,\"sha256\":%q}\n", b.format.Counts, b.count, hex.EncodeToString(b.hash.Sum(nil)))
	if err == nil {
		err = b.gzip.Close()
	}
	return b.packed.Bytes(), err
}

// Segment is one that was read whole and compared with what its end says.
type Segment struct {
	format Format
	packed []byte
	count  int
}

// Open reads a segment. The error is ErrDamaged if it is not whole, store.ErrNotExist if it is gone.
func (f Format) Open(ctx context.Context, from store.Store, key string) (*Segment, error) {
	object, err := from.Open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	packed, err := io.ReadAll(io.LimitReader(object, int64(f.MaxObject)+1))
	if err = errors.Join(err, object.Close()); err != nil {
		return nil, fmt.Errorf("read segment %s: %w", key, err)
	}
	s, err := f.Parse(packed)
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", key, err)
	}
	return s, nil
}

// Parse looks at the whole of a segment before any of it is believed.
func (f Format) Parse(packed []byte) (*Segment, error) {
	if len(packed) > f.MaxObject {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrDamaged, f.MaxObject)
	}
	s := &Segment{format: f, packed: packed}
	sum, last := sha256.New(), []byte(nil)
	for line, err := range s.all() {
		if err != nil {
			return nil, err
		}
		if last != nil {
			_, _ = sum.Write(last)
			s.count++
		}
		last = append(last[:0], line...)
	}
	var said map[string]json.RawMessage
	if err := json.Unmarshal(last, &said); err != nil {
		return nil, fmt.Errorf("%w: its last line: %w", ErrDamaged, err)
	}
	var count int
	var digest string
	err := errors.Join(json.Unmarshal(said[f.Counts], &count), json.Unmarshal(said["sha256"], &digest))
	if got := hex.EncodeToString(sum.Sum(nil)); err != nil || count != s.count || digest != got {
		return nil, fmt.Errorf("%w: %d %s with sha256 %s, its end says %d with %s", ErrDamaged, s.count, f.Counts, got, count, digest)
	}
	return s, nil
}

// Lines yields the lines with their ends, but for the last. They are overwritten by the next.
func (s *Segment) Lines() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		left := s.count
		for line, err := range s.all() {
			if left--; left < 0 && err == nil {
				return
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

func (s *Segment) all() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		unpacked, err := gzip.NewReader(bytes.NewReader(s.packed))
		if err != nil {
			yield(nil, fmt.Errorf("%w: %w", ErrDamaged, err))
			return
		}
		scanner := bufio.NewScanner(unpacked)
		scanner.Buffer(make([]byte, 64<<10), s.format.MaxLine)
		scanner.Split(wholeLines)
		for scanner.Scan() {
			if !yield(scanner.Bytes(), nil) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(nil, fmt.Errorf("%w: %w", ErrDamaged, err))
		}
	}
}

// wholeLines keeps the ends: they are digested, too.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errors.New("it ends within a line")
	}
	return 0, nil, nil
}
