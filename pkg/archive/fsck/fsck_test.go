package fsck

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const cluster = layout.Cluster("prod")

var created = time.Date(2026, 11, 20, 10, 42, 11, 0, time.UTC)

// Each row damages an archive of two runs, one of them with a log, in one way, and lists all
// findings.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(t *testing.T, a *archive)
		want   []string
		totals Totals
	}{
		"find nothing in a whole archive": {damage: func(*testing.T, *archive) {}},
		"find a part that is gone": {
			damage: func(t *testing.T, a *archive) { remove(t, a.path(a.log)) },
			want:   []string{"missing part: LOG of team/one"}, totals: Totals{Damaged: 1},
		},
		"find a part that was changed": {
			damage: func(t *testing.T, a *archive) { flip(t, a.path(a.record)) },
			want:   []string{"damaged part: RECORD of team/one"}, totals: Totals{Damaged: 1},
		},
		"find a part that was cut": {
			damage: func(t *testing.T, a *archive) { truncate(t, a.path(a.record)) },
			want:   []string{"damaged part: RECORD of team/one"}, totals: Totals{Damaged: 1},
		},
		"find a commit that was cut, whose parts then are nobody's": {
			damage: func(t *testing.T, a *archive) { truncate(t, a.path(a.commit)); a.age(t) },
			want:   []string{"damaged commit: COMMIT", "abandoned part: LOG", "abandoned part: RECORD"},
			totals: Totals{Damaged: 1, Abandoned: 2},
		},
		"find what an archiver left that was killed": {
			damage: func(t *testing.T, a *archive) { remove(t, a.path(a.commit)); a.age(t) },
			want:   []string{"abandoned part: LOG", "abandoned part: RECORD"}, totals: Totals{Abandoned: 2},
		},
		"leave alone what an archiver at work has stored": {
			damage: func(t *testing.T, a *archive) { remove(t, a.path(a.commit)) },
		},
		"find what is not the archive's": {
			damage: func(t *testing.T, a *archive) {
				write(t, a.path("clusters/prod/commits/README.txt"), "x")
				write(t, a.path("clusters/prod/parts/note"), "x")
				write(t, a.path("clusters/other/parts/note"), "x")
			},
			want: []string{
				"object with a key that is not the archive's: clusters/prod/commits/README.txt",
				"object with a key that is not the archive's: clusters/prod/parts/note",
			},
			totals: Totals{Strangers: 2},
		},
		"leave alone a commit of a later version": {
			damage: func(t *testing.T, a *archive) {
				write(t, a.path(a.commit), gzipped(t, `{"apiVersion":"archive.indelible.dev/v2","kind":"Commit"}`))
			},
			want: []string{"commit of an unknown version: COMMIT"}, totals: Totals{Damaged: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t)
			test.damage(t, a)
			var got []string
			names := strings.NewReplacer(a.commit, "COMMIT", a.record, "RECORD", a.log, "LOG")
			totals, err := Check(t.Context(),
				Options{Store: a.store, Cluster: cluster, Grace: time.Hour, Now: time.Now(), Found: func(f Finding) {
					text := names.Replace(f.String())
					if i := strings.Index(text, ": "+f.Detail); f.Detail != "" && i > 0 {
						text = text[:i]
					}
					got = append(got, strings.TrimSuffix(text, ": "+names.Replace(f.Detail)))
				}})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
			if totals.Damaged != test.totals.Damaged || totals.Abandoned != test.totals.Abandoned ||
				totals.Strangers != test.totals.Strangers {
				t.Errorf("got %+v, want %+v", totals, test.totals)
			}
		})
	}
}

func TestTotals(t *testing.T) {
	a := newArchive(t)
	var bytes int64
	err := filepath.Walk(a.root, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Check(t.Context(),
		Options{Store: a.store, Cluster: cluster, Now: time.Now(), Found: func(f Finding) { t.Error(f) }})
	if want := (Totals{Commits: 2, Parts: 3, Bytes: bytes}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

// A key that is neither a file nor a folder is not an object and does not end the check.
func TestCheckOverlooksLinks(t *testing.T) {
	a := newArchive(t)
	if err := os.Symlink("/nowhere", a.path("clusters/prod/commits/2027")); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(),
		Options{Store: a.store, Cluster: cluster, Now: time.Now(), Found: func(f Finding) { t.Error(f) }}); err != nil {
		t.Error(err)
	}
}

type archive struct {
	root                string
	store               store.Store
	commit, record, log string
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	root := t.TempDir()
	s, err := store.NewDirectory(root)
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{root: root, store: s}
	a.commit, a.record, a.log = a.add(t, "one", "uid-1", true)
	a.add(t, "two", "uid-2", false)
	return a
}

// add archives a run without the archiver, whose oracle this package is.
func (a *archive) add(t *testing.T, name, uid string, withLog bool) (commitKey, recordKey, logKey string) {
	t.Helper()
	run := layout.Run{Created: created, UID: uid}
	c := &manifest.Commit{
		Cluster: string(cluster), Versions: manifest.Versions{Archiver: "test"}, CommittedAt: created,
		Run: manifest.Run{
			APIVersion: "tekton.dev/v1", Kind: "TaskRun", Namespace: "team", Name: name, UID: uid, Created: created,
			Status: "True", Result: uid,
		},
	}
	part := func(kind manifest.PartType, file, content string) string {
		key, err := cluster.Part(run, "k3v9x2m4q8", file)
		if err != nil {
			t.Fatal(err)
		}
		raw, stored, err := manifest.Store(t.Context(), a.store, key, strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		c.Parts = append(c.Parts,
			manifest.Part{Type: kind, State: manifest.Complete, Key: key, Content: &raw, Stored: &stored})
		return key
	}
	recordKey = part(manifest.Record, "record.json", `{"kind":"TaskRun"}`)
	if withLog {
		logKey = part(manifest.Log, "log-0-step-build.txt", strings.Repeat("a line\n", 10000))
	}
	data, err := manifest.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	if commitKey, err = c.Key(); err != nil {
		t.Fatal(err)
	}
	if err := a.store.Create(t.Context(), commitKey, strings.NewReader(string(data))); err != nil {
		t.Fatal(err)
	}
	return commitKey, recordKey, logKey
}

func (a *archive) path(key string) string { return filepath.Join(a.root, key) }

// age makes the parts of the first run two hours old.
func (a *archive) age(t *testing.T) {
	t.Helper()
	for _, key := range []string{a.record, a.log} {
		then := time.Now().Add(-2 * time.Hour)
		if err := os.Chtimes(a.path(key), then, then); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	data := []byte(readFile(t, path))
	data[len(data)/2] ^= 0x10
	write(t, path, string(data))
}

func truncate(t *testing.T, path string) {
	t.Helper()
	data := readFile(t, path)
	write(t, path, data[:len(data)-5])
}

func gzipped(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
