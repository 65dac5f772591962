// Package segment writes and reads segments: lines of JSON in gzip. The last line has the number of
// lines before it and their digest. pkg/archive/catalogue stores copies of runs in segments,
// pkg/archive/object what tools wrote; docs/archive-format.md describes both.
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

// ErrDamaged means that the segment is incomplete or changed.
var ErrDamaged = errors.New("the segment is damaged")

// Format of the segments of one kind.
type Format struct {
	// Counts is the field of the last line with the number of lines before it.
	Counts string
	// MaxPacked is the compressed size at which a segment is full. Writers and readers hold it in
	// memory.
	MaxPacked int
	// MaxObject bounds a segment, in compressed bytes: one line may come on top of MaxPacked.
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

// NewBuilder returns a Builder without lines.
func (f Format) NewBuilder() *Builder {
	b := &Builder{format: f, hash: sha256.New()}
	b.gzip = gzip.NewWriter(&b.packed)
	return b
}

// Add adds a line, which must end with its only newline.
func (b *Builder) Add(line []byte) error {
	if bytes.IndexByte(line, '\n') != len(line)-1 {
		return errors.New("not one line")
	}
	b.count++
	_, _ = b.hash.Write(line)
	_, err := b.gzip.Write(line)
	return err
}

// Full reports whether the segment has reached its size.
func (b *Builder) Full() bool { return b.packed.Len() >= b.format.MaxPacked }

// Finish returns the object. Add must not be called afterwards.
func (b *Builder) Finish() ([]byte, error) {
	_, err := fmt.Fprintf(b.gzip, "{%q:%d,\"sha256\":%q}\n", b.format.Counts, b.count,
		hex.EncodeToString(b.hash.Sum(nil)))
	if err == nil {
		err = b.gzip.Close()
	}
	return b.packed.Bytes(), err
}

// Segment is a segment that was read completely and verified.
type Segment struct {
	format Format
	packed []byte
	count  int
}

// Open reads a segment. It returns ErrDamaged if the segment is damaged, store.ErrNotExist if it
// does not exist.
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

// Parse verifies the whole segment before any of it is used.
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
		return nil, fmt.Errorf("%w: %d %s with sha256 %s, its end says %d with %s", ErrDamaged, s.count, f.Counts, got,
			count, digest)
	}
	return s, nil
}

// Lines yields the lines, including their newlines, except for the last line. A line is valid until
// the next one is yielded.
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

// wholeLines splits into lines and keeps newlines, which the digest includes.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errors.New("it ends within a line")
	}
	return 0, nil, nil
}
