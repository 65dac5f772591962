package catalogue_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// late is a time when the hour of the first runs has settled.
var late = indextest.Created.Add(4 * time.Hour)

func compact(t *testing.T, a store.Store, now time.Time, passed ...string) catalogue.Totals {
	t.Helper()
	var got []string
	totals, err := catalogue.Compact(t.Context(),
		catalogue.Options{Store: a, Cluster: indextest.Cluster, Now: now, Passed: func(key string, err error) {
			if err == nil {
				t.Errorf("%s passed without a reason", key)
			}
			got = append(got, key)
		}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, passed) {
		t.Errorf("passed %q, want %q", got, passed)
	}
	return totals
}

func segments(t *testing.T, a *indextest.Archive) []string {
	t.Helper()
	return a.Keys(t, indextest.Cluster.Segments())
}

// entries reads all segments.
func entries(t *testing.T, a *indextest.Archive) map[string]catalogue.Entry {
	t.Helper()
	all := map[string]catalogue.Entry{}
	for _, key := range segments(t, a) {
		s, err := catalogue.Open(t.Context(), a, key)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range s.Entries() {
			if err != nil {
				t.Fatal(err)
			}
			all[e.Key] = e
		}
	}
	return all
}

func TestSegmentsHaveWhatTheObjectsHave(t *testing.T) {
	a := indextest.NewArchive(t)
	want := map[string]catalogue.Entry{}
	for n := range 20 {
		row, key := a.Add(t, n, func(row *index.Row) { inHour(row, n%2) })
		want[key] = catalogue.Entry{Key: key, Commit: row.Commit, Record: row.Record}
	}
	if got, want := compact(t, a, late), (catalogue.Totals{Segments: 2, Commits: 20}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if diff := cmp.Diff(want, entries(t, a)); diff != "" {
		t.Error(diff)
	}
	if got := compact(t, a, late); got != (catalogue.Totals{}) {
		t.Errorf("again: %+v, want nothing", got)
	}
}

// inHour moves a run by hours.
func inHour(row *index.Row, hours int) {
	indextest.Move(row, indextest.Created.Add(time.Duration(hours)*time.Hour))
}

// The format, as tools read and verify it.
func TestFormat(t *testing.T) {
	a := indextest.NewArchive(t)
	row, key := a.Add(t, 0, nil)
	compact(t, a, late)
	text := unzip(t, a.Path(segments(t, a)[0]))
	commit := unzip(t, a.Path(key))
	for _, inline := range []string{string(row.Record), `{"kind":"EventList"}`} {
		if !strings.Contains(commit, `,"inline":`+inline) {
			t.Fatalf("the commit has no %s", inline)
		}
		sum := sha256.Sum256([]byte(inline)) // the stored commit has no digest of embedded content
		content := fmt.Sprintf(`,"content":{"bytes":%d,"sha256":"%x"}`, len(inline), sum)
		commit = strings.Replace(commit, `,"inline":`+inline, content, 1)
	}
	line := `{"commit":` + strings.TrimSuffix(commit, "\n") + `,"record":` + string(row.Record) + "}\n"
	sum := sha256.Sum256([]byte(line))
	want := line + fmt.Sprintf(`{"commits":1,"sha256":"%s"}`, hex.EncodeToString(sum[:])) + "\n"
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
}

func unzip(t testing.TB, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCompact(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(t *testing.T, a *indextest.Archive)
		now  time.Time
		want catalogue.Totals
		left int // commits in segments
	}{
		"leave alone an hour that has not settled": {
			now: indextest.Created.Truncate(time.Hour).Add(3*time.Hour - time.Second),
		},
		"take an hour that has": {
			now:  indextest.Created.Truncate(time.Hour).Add(3 * time.Hour),
			want: catalogue.Totals{Segments: 1, Commits: 6}, left: 6,
		},
		"add a segment for runs that came later": {
			do: func(t *testing.T, a *indextest.Archive) {
				compact(t, a, late)
				a.Add(t, 7, nil)
				a.Add(t, 8, nil)
			}, now: late, want: catalogue.Totals{Segments: 1, Commits: 2}, left: 8,
		},
		"write again what was deleted": {
			do: func(t *testing.T, a *indextest.Archive) {
				compact(t, a, late)
				if err := a.Delete(t.Context(), segments(t, a)[0]); err != nil {
					t.Fatal(err)
				}
			}, now: late, want: catalogue.Totals{Segments: 1, Commits: 6}, left: 6,
		},
		"have nothing to write where runs were forgotten: the segment is without them already": {
			do: func(t *testing.T, a *indextest.Archive) {
				compact(t, a, late)
				key := a.Keys(t, indextest.Cluster.Commits())[2]
				_, run, err := layout.ParseCommit(key)
				if err == nil {
					err = errors.Join(a.Delete(t.Context(), key),
						catalogue.Forget(t.Context(), a, indextest.Cluster, run))
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := entries(t, a); len(got) != 5 || got[key].Commit != nil {
					t.Errorf("left %d runs, %+v", len(got), got[key])
				}
			}, now: late, left: 5,
		},
		"write again what a damaged segment had in which a run was to be forgotten": {
			do: func(t *testing.T, a *indextest.Archive) {
				compact(t, a, late)
				key := a.Keys(t, indextest.Cluster.Commits())[2]
				a.Damage(t, segments(t, a)[0])
				_, run, err := layout.ParseCommit(key)
				if err == nil {
					err = errors.Join(a.Delete(t.Context(), key),
						catalogue.Forget(t.Context(), a, indextest.Cluster, run))
				}
				if err != nil || len(segments(t, a)) > 0 {
					t.Errorf("left %q, %v", segments(t, a), err)
				}
			}, now: late, want: catalogue.Totals{Segments: 1, Commits: 5}, left: 5,
		},
		"leave no segment where all its runs were forgotten": {
			do: func(t *testing.T, a *indextest.Archive) {
				compact(t, a, late)
				var runs []layout.Run
				for _, key := range a.Keys(t, indextest.Cluster.Commits()) {
					_, run, err := layout.ParseCommit(key)
					if runs = append(runs, run); err != nil || a.Delete(t.Context(), key) != nil {
						t.Fatal(err)
					}
				}
				if err := catalogue.Forget(t.Context(), a, indextest.Cluster, runs...); err != nil ||
					len(segments(t, a)) > 0 {
					t.Errorf("left %q, %v", segments(t, a), err)
				}
			}, now: late,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := indextest.NewArchive(t)
			for n := range 6 {
				a.Add(t, n, nil)
			}
			if test.do != nil {
				test.do(t, a)
			}
			if got := compact(t, a, test.now); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if got := len(entries(t, a)); got != test.left {
				t.Errorf("%d commits in segments, want %d", got, test.left)
			}
		})
	}
}

func TestCompactPassesOverDamage(t *testing.T) {
	a := indextest.NewArchive(t)
	keys, rows := make([]string, 5), make([]index.Row, 5)
	for n := range keys {
		rows[n], keys[n] = a.Add(t, n, indextest.Apart)
	}
	a.Cut(t, keys[1])
	a.Damage(t, rows[3].Commit.Parts[0].Key)
	damaged := []string{keys[1], keys[3]}
	slices.Sort(damaged)
	if got, want := compact(t, a, late, damaged...), (catalogue.Totals{Segments: 1, Commits: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// A damaged segment is replaced.
	segment := segments(t, a)[0]
	a.Damage(t, segment)
	if got, want := compact(t, a, late, append([]string{segment}, damaged...)...),
		(catalogue.Totals{Segments: 1, Commits: 3}); got != want {
		t.Errorf("after damage: got %+v, want %+v", got, want)
	}
}

// A run that is deleted between being read and being stored in a segment is in no segment.
func TestCompactTakesBackWhatWasDeletedMeanwhile(t *testing.T) {
	a := indextest.NewArchive(t)
	for n := range 4 {
		a.Add(t, n, nil)
	}
	racing := &deletes{Store: a, key: a.Keys(t, indextest.Cluster.Commits())[1]}
	if got := compact(t, racing, late); got != (catalogue.Totals{}) || !racing.done {
		t.Errorf("got %+v, want nothing", got)
	}
	if got := segments(t, a); len(got) != 0 {
		t.Errorf("left %q", got)
	}
	if got, want := compact(t, a, late), (catalogue.Totals{Segments: 1, Commits: 3}); got != want {
		t.Errorf("the next time: got %+v, want %+v", got, want)
	}
}

// deletes is a store in which a commit is deleted just before a segment is stored.
type deletes struct {
	store.Store
	key  string
	done bool
}

func (d *deletes) Create(ctx context.Context, key string, body io.Reader) error {
	d.done = true
	return errors.Join(d.Delete(ctx, d.key), d.Store.Create(ctx, key, body))
}

// Changing any byte of a segment is detected before any of it is used.
func TestOpenFindsDamage(t *testing.T) {
	a := indextest.NewArchive(t)
	for n := range 3 {
		a.Add(t, n, nil)
	}
	compact(t, a, late)
	key := segments(t, a)[0]
	whole, err := os.ReadFile(a.Path(key))
	if err != nil {
		t.Fatal(err)
	}
	text := unzip(t, a.Path(key))
	wantDamaged(t, a, key, pack(t, []byte(strings.Replace(text, "All Steps have", "All steps have", 1))),
		"another text is packed")
	_, rest, _ := strings.Cut(text, "\n")
	wantDamaged(t, a, key, pack(t, []byte(rest)), "a run is left out")
	for i := 0; i < len(whole); i += 7 {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		if i >= 3 && i < 10 {
			continue // gzip's flags, time and system
		}
		wantDamaged(t, a, key, bad, fmt.Sprintf("byte %d is changed", i))
		wantDamaged(t, a, key, whole[:i], fmt.Sprintf("it is cut at %d", i))
	}
	wantDamaged(t, a, key, append(bytes.Clone(whole), whole...), "it is there twice")
}

func wantDamaged(t *testing.T, a *indextest.Archive, key string, data []byte, what string) {
	t.Helper()
	if err := os.WriteFile(a.Path(key), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := catalogue.Open(t.Context(), a, key); !errors.Is(err, catalogue.ErrDamaged) {
		t.Errorf("%s: got %v, want ErrDamaged", what, err)
	}
}

func TestOpenOfNoSegment(t *testing.T) {
	if _, err := catalogue.Open(t.Context(), indextest.NewArchive(t), "clusters/prod/segments/x"); !errors.Is(err,
		store.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}

// FuzzOpen: a segment is refused, or every run in it matches its commit's digest.
func FuzzOpen(f *testing.F) {
	a := indextest.NewArchive(f)
	a.Add(f, 0, nil)
	if _, err := catalogue.Compact(f.Context(),
		catalogue.Options{Store: a, Cluster: indextest.Cluster, Now: late}); err != nil {
		f.Fatal(err)
	}
	text := []byte(unzip(f, a.Path(a.Keys(f, indextest.Cluster.Segments())[0])))
	f.Add(text)
	f.Add([]byte(`{"commits":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}` + "\n"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a := indextest.NewArchive(t)
		if err := a.Create(t.Context(), "segment", bytes.NewReader(pack(t, text))); err != nil {
			t.Fatal(err)
		}
		s, err := catalogue.Open(t.Context(), a, "segment")
		if errors.Is(err, catalogue.ErrDamaged) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range s.Entries() {
			if err != nil && !errors.Is(err, catalogue.ErrDamaged) {
				t.Error(err)
			}
			sum := sha256.Sum256(e.Record)
			if err == nil && e.Commit.Parts[0].InCommit() &&
				e.Commit.Parts[0].Content.SHA256 != hex.EncodeToString(sum[:]) {
				t.Error("a record that is not its commit's")
			}
		}
	})
}

func pack(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// notListed fails when all commits are listed.
type notListed struct{ store.Store }

func (s notListed) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	if prefix == indextest.Cluster.Commits() {
		return func(yield func(store.Info, error) bool) { yield(store.Info{}, errors.New("all commits are listed")) }
	}
	return s.Store.List(ctx, prefix, after)
}

// With Keys, the same segments are written and the commits are not listed.
func TestCompactByKeys(t *testing.T) {
	a := indextest.NewArchive(t)
	for n := range 20 {
		a.Add(t, n, func(row *index.Row) { inHour(row, n%4) })
	}
	keys := func(_ context.Context, after string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for _, key := range a.Keys(t, indextest.Cluster.Commits()) {
				if key > after && !yield(key, nil) {
					return
				}
			}
		}
	}
	o := catalogue.Options{Store: notListed{a}, Cluster: indextest.Cluster, Now: late.Add(4 * time.Hour), Keys: keys}
	for _, tt := range []struct {
		from time.Time
		want catalogue.Totals
	}{
		// hours 2 and 3, from within hour 2
		{indextest.Created.Add(2 * time.Hour), catalogue.Totals{Segments: 2, Commits: 10}},
		{time.Time{}, catalogue.Totals{Segments: 2, Commits: 10}},
		{time.Time{}, catalogue.Totals{}},
	} {
		o.From = tt.from
		if got, err := catalogue.Compact(t.Context(), o); err != nil || got != tt.want {
			t.Errorf("from %s: got %+v, %v; want %+v", tt.from, got, err, tt.want)
		}
	}
	if got := len(entries(t, a)); got != 20 {
		t.Errorf("%d runs in segments, want 20", got)
	}
}
