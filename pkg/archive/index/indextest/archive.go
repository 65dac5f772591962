package indextest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Archive is an archive in a directory, for tests of what reads archives.
type Archive struct {
	store.Store
	// Root is the directory of the objects, by their keys.
	Root string
}

// NewArchive returns an empty archive.
func NewArchive(t testing.TB) *Archive {
	t.Helper()
	root := t.TempDir()
	directory, err := store.NewDirectory(root)
	if err != nil {
		t.Fatal(err)
	}
	return &Archive{directory, root}
}

// Path is the file of an object.
func (a *Archive) Path(key string) string { return filepath.Join(a.Root, filepath.FromSlash(key)) }

// Add archives NewRow(n), after change has changed it. It returns the row and the commit's key.
func (a *Archive) Add(t testing.TB, n int, change func(*index.Row)) (row index.Row, key string) {
	t.Helper()
	row = NewRow(n)
	if change != nil {
		change(&row)
	}
	for i := range row.Commit.Parts {
		switch part := &row.Commit.Parts[i]; {
		case part.State == manifest.Missing, part.Text != nil:
		case part.Type == manifest.Record && part.InCommit():
			*part = manifest.InlinePart(part.Type, row.Record)
		case part.Type == manifest.Events && part.InCommit():
			*part = manifest.InlinePart(part.Type, []byte(`{"kind":"EventList"}`))
		default:
			a.store(t, part, row.Record)
		}
	}
	text, err := manifest.Encode(row.Commit)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = row.Commit.Key(); err != nil {
		t.Fatal(err)
	}
	if err := a.Create(t.Context(), key, bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	row.Commit = row.Commit.Bare()
	return row, key
}

// store stores a part as an object of its own.
func (a *Archive) store(t testing.TB, part *manifest.Part, record []byte) {
	t.Helper()
	content := record
	if part.Type != manifest.Record {
		content = bytes.Repeat([]byte("a line of "+part.Key+"\n"), 20)
	}
	raw, stored, err := manifest.Store(t.Context(), a, part.Key, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	part.Content, part.Stored = &raw, &stored
}

// Apart makes the record of a row an object of its own, as large ones are. It can be Add's change.
func Apart(row *index.Row) {
	key, err := Cluster.Part(row.Commit.ID(), "k3v9x2m4q8", "record.json")
	if err != nil {
		panic(err)
	}
	row.Commit.Parts[0] = manifest.Part{Type: manifest.Record, State: manifest.Complete, Key: key}
}

// Damage changes one byte in the middle of an object.
func (a *Archive) Damage(t testing.TB, key string) {
	t.Helper()
	data, err := os.ReadFile(a.Path(key))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x10
	if err := os.WriteFile(a.Path(key), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Keys lists the objects whose keys begin with prefix.
func (a *Archive) Keys(t testing.TB, prefix string) []string {
	t.Helper()
	var keys []string
	for info, err := range a.List(t.Context(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// Cut truncates an object. A commit has no digest of its own, so a changed byte in it may show only
// when its parts are read.
func (a *Archive) Cut(t testing.TB, key string) {
	t.Helper()
	info, err := os.Stat(a.Path(key))
	if err == nil {
		err = os.Truncate(a.Path(key), info.Size()-5)
	}
	if err != nil {
		t.Fatal(err)
	}
}
