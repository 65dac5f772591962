package index_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// late is when the hours of all runs have settled.
var late = indextest.Created.Add(100 * time.Hour)

// runs is how many runs a test archive has, in four hours.
const runs = 24

func testRebuildIsIdentical(t *testing.T, empty newURL) {
	for name, test := range rebuilds {
		t.Run(name, func(t *testing.T) {
			a := indextest.NewArchive(t)
			kept := empty(t)
			x := open(t, kept)
			for n := range runs {
				row, _ := a.Add(t, n, func(row *index.Row) { vary(row, n) })
				if err := x.Put(t.Context(), row); err != nil {
					t.Fatal(err)
				}
			}
			reports := test(t, a, x)
			rebuilt := empty(t)
			y := open(t, rebuilt)
			wantSync(t, index.Rebuild, a, y, reports)
			want := dump(t, kept)
			if diff := cmp.Diff(want, dump(t, rebuilt)); diff != "" {
				t.Error(diff)
			}
			if len(want["runs"]) < runs/2 {
				t.Errorf("only %d rows to compare", len(want["runs"]))
			}
			// The result is the same if nothing is missing, and if the index is rebuilt.
			wantSync(t, index.Sync, a, y, reports)
			wantSync(t, index.Rebuild, a, x, reports)
			if diff := cmp.Diff(want, dump(t, kept)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// rebuilds change an archive and its index, and return the keys that a rebuild must report.
var rebuilds = map[string]func(t *testing.T, a *indextest.Archive, x index.Index) []string{
	"from single objects": func(*testing.T, *indextest.Archive, index.Index) []string { return nil },
	"from segments": func(t *testing.T, a *indextest.Archive, _ index.Index) []string {
		compact(t, a)
		return nil
	},
	"after some were deleted": func(t *testing.T, a *indextest.Archive, x index.Index) []string {
		compact(t, a) // the segments still have them, but commits decide
		for i, key := range a.Keys(t, indextest.Cluster.Commits()) {
			if i%3 == 0 {
				remove(t, a, x, key)
			}
		}
		return nil
	},
	"with a damaged segment": func(t *testing.T, a *indextest.Archive, _ index.Index) []string {
		compact(t, a)
		segment := a.Keys(t, indextest.Cluster.Segments())[0]
		a.Damage(t, segment)
		return []string{segment}
	},
	"with damaged commits and records, which are left out": func(
		t *testing.T, a *indextest.Archive, x index.Index) []string {
		var own []string // commits of records that are objects of their own
		keys := a.Keys(t, indextest.Cluster.Commits())
		for _, key := range keys {
			commit, err := manifest.Read(t.Context(), a, key)
			if err != nil {
				t.Fatal(err)
			}
			if commit.Parts[0].Key != "" && len(own) < 2 {
				own = append(own, key)
				drop(t, x, key)
			}
		}
		a.Damage(t, recordOf(t, a, own[0]))
		if err := a.Delete(t.Context(), recordOf(t, a, own[1])); err != nil {
			t.Fatal(err)
		}
		last := keys[len(keys)-1]
		a.Cut(t, last)
		drop(t, x, last)
		return append(own, last)
	},
}

func recordOf(t *testing.T, a *indextest.Archive, key string) string {
	t.Helper()
	commit, err := manifest.Read(t.Context(), a, key)
	if err != nil {
		t.Fatal(err)
	}
	return commit.Parts[0].Key
}

// vary makes runs of several hours, kinds and outcomes, some without a completion time and some
// with their own Task.
func vary(row *index.Row, n int) {
	indextest.Move(row, indextest.Created.Add(time.Duration(n%4)*time.Hour))
	run := &row.Commit.Run
	if n%10 == 9 || n == 4 {
		indextest.Apart(row)
	}
	switch n % 5 {
	case 0:
		run.Completed, run.Status, run.Reason = nil, "False", "TaskRunCancelled"
	case 1:
		run.Kind, row.Record = "CustomRun", []byte(fmt.Sprintf(`{"kind":"CustomRun","n":%d}`, n))
	case 2:
		row.Record = []byte(strings.ReplaceAll(string(row.Record), "attests it", fmt.Sprint("attests it ", n)))
	}
}

func compact(t *testing.T, a *indextest.Archive) {
	t.Helper()
	totals, err := catalogue.Compact(t.Context(), catalogue.Options{Store: a, Cluster: indextest.Cluster, Now: late})
	if err != nil || totals.Segments != 4 || totals.Commits != runs {
		t.Fatalf("got %+v, %v; want 4 segments of %d commits", totals, err, runs)
	}
}

func remove(t *testing.T, a *indextest.Archive, x index.Index, key string) {
	t.Helper()
	drop(t, x, key)
	if err := a.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

func drop(t *testing.T, x index.Index, key string) {
	t.Helper()
	_, run, err := layout.ParseCommit(key)
	if err != nil {
		t.Fatal(err)
	}
	uid := run.UID
	if _, err := x.Get(t.Context(), string(indextest.Cluster), uid); err != nil {
		t.Fatal(err)
	}
	if err := x.Delete(t.Context(), string(indextest.Cluster), uid); err != nil {
		t.Fatal(err)
	}
}

type syncer func(context.Context, index.SyncOptions) (index.SyncTotals, error)

// wantSync runs Sync or Rebuild, and compares what it reports.
func wantSync(t *testing.T, run syncer, a *indextest.Archive, x index.Index, reports []string) index.SyncTotals {
	t.Helper()
	var got []string
	progress := 0
	totals, err := run(t.Context(), index.SyncOptions{
		Store: a, Index: x, Cluster: indextest.Cluster, Progress: func(index.SyncTotals) { progress++ },
		Damaged: func(key string, err error) {
			if err == nil {
				t.Errorf("%s is reported without a reason", key)
			}
			got = append(got, key)
		},
	})
	if err != nil || progress == 0 {
		t.Fatalf("%v, %d times told of progress", err, progress)
	}
	slices.Sort(got)
	// A damaged segment is read only if something is missing.
	if !slices.Equal(got, reports) && totals.Added > 0 {
		t.Errorf("reported %q, want %q", got, reports)
	}
	return totals
}

// dump returns the content of all tables, read without this package. Numbers that differ between
// databases are replaced by what they stand for.
func dump(t *testing.T, rawURL string) map[string][]string {
	t.Helper()
	db := database(t, rawURL)
	groups := ` (SELECT g.id, s.cluster || '/' || s.namespace || '/' || g.kind || '/' || g.status || '/' || g.reason AS name FROM indelible_groups g JOIN indelible_scopes s ON s.id = g.scope) g `
	tables := map[string]string{
		"runs": `SELECT r.uid, cluster, namespace, r.name, api_version, kind, result, status, reason, created, completed, committed, manifest,
			g.name, started, p.name, o.name, flags FROM indelible_runs r LEFT JOIN` + groups + `ON g.id = r.grp
			LEFT JOIN indelible_names p ON p.id = r.pipeline LEFT JOIN indelible_names o ON o.id = r.repository ORDER BY r.uid`,
		"records": `SELECT r.uid, d.data, s.digest FROM indelible_records d LEFT JOIN indelible_runs r ON r.id = d.id LEFT JOIN indelible_specs s ON s.id = d.spec ORDER BY r.uid`,
		"specs":   `SELECT digest, data FROM indelible_specs ORDER BY digest`,
		"labels": `SELECT l.label, l.created, r.uid, g.name FROM indelible_labels l LEFT JOIN indelible_runs r ON r.id = l.run LEFT JOIN` +
			groups + `ON g.id = l.grp ORDER BY 1, 2, 3`,
		"results": `SELECT s.cluster, s.namespace, r.name, r.created, r.updated, r.runs, t.uid, r.root_at, r.annotations FROM indelible_results r
			JOIN indelible_scopes s ON s.id = r.scope LEFT JOIN indelible_runs t ON t.id = r.root ORDER BY 1, 2, 3`,
		"rollups": `SELECT g.name, span, at, runs, logs, events, timed, days, seconds, shortest, longest, r.started FROM indelible_rollups r LEFT JOIN` +
			groups + `ON g.id = r.grp ORDER BY 1, 2, 3`,
		"schema": `SELECT version FROM indelible_schema`,
	}
	all := map[string][]string{}
	for name, text := range tables {
		all[name] = query(t, db, text)
	}
	return all
}

func query(t *testing.T, db *sql.DB, text string) (lines []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%q", values))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// A rebuild's reads are proportional to the data, not to the number of runs.
func TestSegmentsSaveReads(t *testing.T) {
	a := indextest.NewArchive(t)
	for n := range runs {
		a.Add(t, n, func(row *index.Row) { vary(row, n) })
	}
	x := open(t, "sqlite://"+filepath.Join(t.TempDir(), "index.db"))
	compact(t, a)
	counted := &counting{Store: a}
	want := index.SyncTotals{Commits: runs, Added: runs, FromSegments: runs}
	got, err := index.Sync(t.Context(), index.SyncOptions{Store: counted, Index: x, Cluster: indextest.Cluster})
	if err != nil || got != want || counted.opens.Load() != 4 {
		t.Errorf("got %+v, %v with %d reads; want %+v with 4", got, err, counted.opens.Load(), want)
	}
}

// A store that does not answer is an error, not a bucket with fewer runs.
func TestSyncStopsWhereTheStoreDoes(t *testing.T) {
	broken := errors.New("connection reset")
	for _, after := range []int64{0, 1, 7, 12} {
		a := indextest.NewArchive(t)
		x := open(t, "sqlite://"+filepath.Join(t.TempDir(), "index.db"))
		for n := range runs {
			row, _ := a.Add(t, n, func(row *index.Row) { vary(row, n) })
			if n < 10 {
				if err := x.Put(t.Context(), row); err != nil {
					t.Fatal(err)
				}
			}
		}
		failing := &failing{Store: a, err: broken}
		failing.left.Store(after)
		if _, err := index.Sync(t.Context(), index.SyncOptions{Store: failing, Index: x,
			Cluster: indextest.Cluster}); !errors.Is(err, broken) {
			t.Errorf("after %d reads: got %v, want %v", after, err, broken)
		}
		if totals := wantSync(t, index.Sync, a, x, nil); totals.Deleted != 0 || totals.Damaged != 0 {
			t.Errorf("after %d reads, and again: %+v", after, totals)
		}
		n := 0
		for _, err := range x.Keys(t.Context(), string(indextest.Cluster), "") {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != runs {
			t.Errorf("after %d reads, and again: %d rows, want %d", after, n, runs)
		}
	}
}

// A run archived during Sync stays, even if the list of commits was read before.
func TestSyncKeepsWhatComesMeanwhile(t *testing.T) {
	a := indextest.NewArchive(t)
	x := open(t, "sqlite://"+filepath.Join(t.TempDir(), "index.db"))
	row, key := a.Add(t, 1, nil)
	if err := x.Put(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if totals, err := index.Sync(t.Context(), index.SyncOptions{Store: &hiding{a, key}, Index: x,
		Cluster: indextest.Cluster}); err != nil || totals.Deleted != 0 {
		t.Errorf("got %+v, %v; want nothing deleted", totals, err)
	}
	if _, err := x.Get(t.Context(), string(indextest.Cluster), row.Commit.Run.UID); err != nil {
		t.Error(err)
	}
}
