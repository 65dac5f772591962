package catalogue

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

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A segment is gzip of lines of JSON. All but the last have a run's commit, without what is inline in it, and its record, with the
// same bytes that were archived; the last says what came before it:
//
//	{"commit":{"apiVersion":"archive.indelible.dev/v1",…},"record":{"apiVersion":"tekton.dev/v1",…}}
//	{"commits":1,"sha256":"5f70bf18a0860070…"}

// ErrDamaged is the error of a segment that is not whole, or says of a run what its own digests do not.
var ErrDamaged = errors.New("the segment is damaged")

const (
	// maxPacked is when a segment is full, in bytes as stored: it is held in memory whole, by who writes it and by who reads it.
	maxPacked = 8 << 20
	// maxObject is more than any segment has: one record may come on top.
	maxObject = maxPacked + 2*maxRecord
	// maxLine bounds a line: a record and a commit.
	maxLine = maxRecord + manifest.MaxCommit + 1024
)

// line is one run in a segment.
type line struct {
	Commit json.RawMessage `json:"commit"`
	Record json.RawMessage `json:"record"`
}

// end is the last line.
type end struct {
	Commits int `json:"commits"`
	// SHA256 is of all lines before, unpacked.
	SHA256 string `json:"sha256"`
}

// builder makes a segment in memory.
type builder struct {
	packed bytes.Buffer
	gzip   *gzip.Writer
	hash   hash.Hash
	keys   []string
}

func newBuilder() *builder {
	b := &builder{hash: sha256.New()}
	b.gzip = gzip.NewWriter(&b.packed)
	return b
}

// add adds a run. It refuses one whose texts are no lines of JSON, which none is that the API server gave.
func (b *builder) add(e Entry) error {
	text, err := manifest.EncodeBare(e.Commit)
	if err != nil {
		return err
	}
	var joined bytes.Buffer
	fmt.Fprintf(&joined, `{"commit":%s,"record":%s}`+"\n", bytes.TrimSuffix(text, []byte("\n")), e.Record)
	if again, err := parseLine(joined.Bytes()); err != nil || !bytes.Equal(again.Record, e.Record) || bytes.Count(joined.Bytes(), []byte("\n")) != 1 {
		return errors.Join(fmt.Errorf("record of %s is not one line of JSON", e.Key), err)
	}
	b.keys = append(b.keys, e.Key)
	return b.write(joined.Bytes())
}

func (b *builder) write(text []byte) error {
	_, _ = b.hash.Write(text)
	_, err := b.gzip.Write(text)
	return err
}

func (b *builder) full() bool { return b.packed.Len() >= maxPacked }

// finish returns the object.
func (b *builder) finish() ([]byte, error) {
	last, err := json.Marshal(end{Commits: len(b.keys), SHA256: hex.EncodeToString(b.hash.Sum(nil))})
	if err == nil {
		err = b.write(append(last, '\n'))
	}
	if err == nil {
		err = b.gzip.Close()
	}
	return b.packed.Bytes(), err
}

// Segment is one that was read whole and compared with what its end says.
type Segment struct {
	packed  []byte
	commits int
}

// Open reads a segment. The error is ErrDamaged if it is not whole, store.ErrNotExist if it is gone.
func Open(ctx context.Context, from store.Store, key string) (*Segment, error) {
	object, err := from.Open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	packed, err := io.ReadAll(io.LimitReader(object, maxObject+1))
	if err = errors.Join(err, object.Close()); err != nil {
		return nil, fmt.Errorf("read segment %s: %w", key, err)
	}
	s, err := parse(packed)
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", key, err)
	}
	return s, nil
}

// parse looks at the whole of a segment before any of it is believed.
func parse(packed []byte) (*Segment, error) {
	if len(packed) > maxObject {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrDamaged, maxObject)
	}
	s := &Segment{packed: packed}
	sum, last := sha256.New(), []byte(nil)
	for text, err := range s.lines() {
		if err != nil {
			return nil, err
		}
		if last != nil {
			_, _ = sum.Write(last)
			s.commits++
		}
		last = append(last[:0], text...)
	}
	var said end
	if err := json.Unmarshal(last, &said); err != nil {
		return nil, fmt.Errorf("%w: its last line: %w", ErrDamaged, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); said.Commits != s.commits || said.SHA256 != got {
		return nil, fmt.Errorf("%w: %d commits with sha256 %s, its end says %d with %s", ErrDamaged, s.commits, got, said.Commits, said.SHA256)
	}
	return s, nil
}

// lines yields the lines with their ends. They are overwritten by the next.
func (s *Segment) lines() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		unpacked, err := gzip.NewReader(bytes.NewReader(s.packed))
		if err != nil {
			yield(nil, fmt.Errorf("%w: %w", ErrDamaged, err))
			return
		}
		scanner := bufio.NewScanner(unpacked)
		scanner.Buffer(make([]byte, 64<<10), maxLine)
		scanner.Split(splitLines)
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

// splitLines keeps the ends: they are digested, too.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errors.New("it ends within a line")
	}
	return 0, nil, nil
}

// Entries yields the runs. Each is compared with the digests of its commit; one that differs ends it with ErrDamaged.
func (s *Segment) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		left := s.commits
		for text, err := range s.lines() {
			var e Entry
			if left--; left < 0 && err == nil {
				return
			}
			if err == nil {
				e, err = parseEntry(text)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func parseLine(text []byte) (line, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return line{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return l, nil
}

func parseEntry(text []byte) (Entry, error) {
	l, err := parseLine(text)
	if err != nil {
		return Entry{}, err
	}
	// What key the commit has is said by itself; DecodeBare is for one that somebody else names.
	commit := &manifest.Commit{}
	if err := json.Unmarshal(l.Commit, commit); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	key, err := commit.Key()
	if err == nil {
		commit, err = manifest.DecodeBare(key, l.Commit)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	// The commit of a record that has an object of its own has no digest of its content.
	sum := sha256.Sum256(l.Record)
	if want := commit.Parts[0].Content; want.Bytes != int64(len(l.Record)) || want.SHA256 != "" && want.SHA256 != hex.EncodeToString(sum[:]) {
		return Entry{}, fmt.Errorf("%w: record of %s is not what its commit says", ErrDamaged, key)
	}
	return Entry{Key: key, Commit: commit, Record: bytes.Clone(l.Record)}, nil
}
