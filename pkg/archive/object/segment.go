package object

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

// A segment has copies of the generations that were the newest when it was written, of trees that
// begin with the same digits, in the order of their keys: lines of JSON as they are stored, in
// gzip. The last line says what came before it:
//
//	{"apiVersion":"archive.indelible.dev/v1","cluster":"prod","kind":"Record",…}
//	{"objects":1,"sha256":"5f70bf18a0860070…"}
//
// A generation never changes, so a copy is right as long as its key is the newest: who reads a
// segment has listed the keys. Segments are a cache.

// errSegment is the error of a segment that is not whole.
var errSegment = errors.New("the segment is damaged")

func isDamagedSegment(err error) bool {
	return errors.Is(err, errSegment) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrVersion)
}

// Unreadable says of an error that it is the object's own, and reading again will not help:
// damaged, gone, or of a later version.
func Unreadable(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrVersion) || errors.Is(err, store.ErrNotExist)
}

const (
	// maxPacked is when a segment is full, in bytes as stored: unpacked it is held in memory by who
	// reads it.
	maxPacked = 1 << 20
	maxObject = maxPacked + 2*maxText
)

type segmentEnd struct {
	Objects int `json:"objects"`
	// SHA256 is of all lines before, unpacked.
	SHA256 string `json:"sha256"`
}

// segmentBuilder makes a segment in memory.
type segmentBuilder struct {
	packed bytes.Buffer
	gzip   *gzip.Writer
	hash   hash.Hash
	keys   []string
}

func newSegmentBuilder() *segmentBuilder {
	b := &segmentBuilder{hash: sha256.New()}
	b.gzip = gzip.NewWriter(&b.packed)
	return b
}

// add adds the text of a generation.
func (b *segmentBuilder) add(key string, text []byte) error {
	if bytes.IndexByte(text, '\n') != len(text)-1 {
		return fmt.Errorf("object %s: %w: it is not one line", key, ErrDamaged)
	}
	b.keys = append(b.keys, key)
	_, _ = b.hash.Write(text)
	_, err := b.gzip.Write(text)
	return err
}

func (b *segmentBuilder) full() bool { return b.packed.Len() >= maxPacked }

func (b *segmentBuilder) finish() ([]byte, error) {
	last, err := json.Marshal(segmentEnd{len(b.keys), hex.EncodeToString(b.hash.Sum(nil))})
	if err == nil {
		_, err = b.gzip.Write(append(last, '\n'))
	}
	if err == nil {
		err = b.gzip.Close()
	}
	return b.packed.Bytes(), err
}

// segment is one that was read whole and compared with what its end says.
type segment struct {
	packed []byte
	count  int
}

func openSegment(ctx context.Context, from store.Store, key string) (*segment, error) {
	object, err := from.Open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	packed, err := io.ReadAll(io.LimitReader(object, maxObject+1))
	if err = errors.Join(err, object.Close()); err != nil {
		return nil, fmt.Errorf("read segment %s: %w", key, err)
	}
	s := &segment{packed: packed}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("segment %s: %w", key, err)
	}
	return s, nil
}

// check looks at the whole before any of it is believed.
func (s *segment) check() error {
	sum, last := sha256.New(), []byte(nil)
	for text, err := range s.lines() {
		if err != nil {
			return err
		}
		if last != nil {
			_, _ = sum.Write(last)
			s.count++
		}
		last = append(last[:0], text...)
	}
	var said segmentEnd
	if err := json.Unmarshal(last, &said); err != nil {
		return fmt.Errorf("%w: its last line: %w", errSegment, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); said.Objects != s.count || said.SHA256 != got {
		return fmt.Errorf("%w: %d objects with sha256 %s, its end says %d with %s",
			errSegment, s.count, got, said.Objects, said.SHA256)
	}
	return nil
}

// lines yields the lines with their ends. They are overwritten by the next.
func (s *segment) lines() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		unpacked, err := gzip.NewReader(bytes.NewReader(s.packed))
		if err != nil {
			yield(nil, fmt.Errorf("%w: %w", errSegment, err))
			return
		}
		scanner := bufio.NewScanner(unpacked)
		scanner.Buffer(make([]byte, 64<<10), maxText+1024)
		scanner.Split(wholeLines)
		for scanner.Scan() {
			if !yield(scanner.Bytes(), nil) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(nil, fmt.Errorf("%w: %w", errSegment, err))
		}
	}
}

func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errors.New("it ends within a line")
	}
	return 0, nil, nil
}

// objects yields the texts of the generations.
func (s *segment) objects() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		left := s.count
		for text, err := range s.lines() {
			if left--; left < 0 && err == nil {
				return
			}
			if !yield(text, err) || err != nil {
				return
			}
		}
	}
}
