package catalogue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/segment"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A segment is lines of JSON in gzip. Each line has a run's bare commit and its record, byte for
// byte; the last line has the number of lines before it and their digest:
//
//	{"commit":{"apiVersion":"archive.indelible.dev/v1",…},"record":{"apiVersion":"tekton.dev/v1",…}}
//	{"commits":1,"sha256":"5f70bf18a0860070…"}

// ErrDamaged means that the segment is incomplete or changed, or a run in it does not match its
// digests.
var ErrDamaged = segment.ErrDamaged

var segmentFormat = segment.Format{
	Counts: "commits", MaxPacked: 8 << 20, MaxObject: 8<<20 + 2*maxRecord,
	MaxLine: maxRecord + manifest.MaxCommit + 1024, // a record and a commit
}

// line is one run in a segment.
type line struct {
	Commit json.RawMessage `json:"commit"`
	Record json.RawMessage `json:"record"`
}

// builder makes a segment and records the keys of its commits.
type builder struct {
	*segment.Builder
	keys []string
}

func newBuilder() *builder { return &builder{Builder: segmentFormat.NewBuilder()} }

// add adds a run. It fails if the commit and record do not fit into one line of JSON, which does
// not happen to records that the API server returned.
func (b *builder) add(e Entry) error {
	text, err := manifest.EncodeBare(e.Commit)
	if err != nil {
		return err
	}
	var joined bytes.Buffer
	fmt.Fprintf(&joined, `{"commit":%s,"record":%s}`+"\n", bytes.TrimSuffix(text, []byte("\n")), e.Record)
	if again, err := parseLine(joined.Bytes()); err != nil || !bytes.Equal(again.Record, e.Record) ||
		bytes.Count(joined.Bytes(), []byte("\n")) != 1 {
		return errors.Join(fmt.Errorf("record of %s is not one line of JSON", e.Key), err)
	}
	b.keys = append(b.keys, e.Key)
	return b.Add(joined.Bytes())
}

// Segment is a segment that was read completely and verified.
type Segment struct{ *segment.Segment }

// Open reads a segment. It returns ErrDamaged if the segment is damaged, store.ErrNotExist if it
// does not exist.
func Open(ctx context.Context, from store.Store, key string) (*Segment, error) {
	s, err := segmentFormat.Open(ctx, from, key)
	if err != nil {
		return nil, err
	}
	return &Segment{s}, nil
}

// Entries yields the runs. Each is compared with the digests of its commit; a mismatch ends the
// iteration with ErrDamaged.
func (s *Segment) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for text, err := range s.Lines() {
			var e Entry
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
	// DecodeBare wants a key, which for a segment's commit is its own.
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
	// A commit has no content digest of a record that is an object of its own.
	sum := sha256.Sum256(l.Record)
	if want := commit.Parts[0].Content; want.Bytes != int64(len(l.Record)) || want.SHA256 != "" &&
		want.SHA256 != hex.EncodeToString(sum[:]) {
		return Entry{}, fmt.Errorf("%w: record of %s is not what its commit says", ErrDamaged, key)
	}
	return Entry{Key: key, Commit: commit, Record: bytes.Clone(l.Record)}, nil
}
