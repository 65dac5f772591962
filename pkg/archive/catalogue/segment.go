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

// A segment is gzip of lines of JSON. All but the last have a run's commit, without what is inline in it, and its record, with the
// same bytes that were archived; the last says what came before it:
//
//	{"commit":{"apiVersion":"archive.indelible.dev/v1",…},"record":{"apiVersion":"tekton.dev/v1",…}}
//	{"commits":1,"sha256":"5f70bf18a0860070…"}

// ErrDamaged is the error of a segment that is not whole, or says of a run what its own digests do not.
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

// builder makes a segment, and knows the keys of what is in it.
type builder struct {
	*segment.Builder
	keys []string
}

func newBuilder() *builder { return &builder{Builder: segmentFormat.NewBuilder()} }

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
	return b.Add(joined.Bytes())
}

// Segment is one that was read whole and compared with what its end says.
type Segment struct{ *segment.Segment }

// Open reads a segment. The error is ErrDamaged if it is not whole, store.ErrNotExist if it is gone.
func Open(ctx context.Context, from store.Store, key string) (*Segment, error) {
	s, err := segmentFormat.Open(ctx, from, key)
	if err != nil {
		return nil, err
	}
	return &Segment{s}, nil
}

// Entries yields the runs. Each is compared with the digests of its commit; one that differs ends it with ErrDamaged.
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
