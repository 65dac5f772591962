package index_test

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// long is more than Postgres can index, and cannot be compressed.
func long() string {
	text := make([]byte, 8<<10)
	_, _ = rand.Read(text)
	return hex.EncodeToString(text)
}

// anyText has what users may write into a run, each as a change of its record.
func anyText(row *index.Row) map[string][2]string {
	return map[string][2]string{
		"a long repository": {`"annotations":{`,
			`"annotations":{"pipelinesascode.tekton.dev/repository":"` + long() + `",`},
		"a repository with a null byte": {`"annotations":{`,
			`"annotations":{"pipelinesascode.tekton.dev/repository":"a\u0000b",`},
		"a long label":                       {`"labels":{`, `"labels":{"` + long() + `":"` + long() + `",`},
		"a long pipeline":                    {`"tekton.dev/pipeline":"`, `"tekton.dev/pipeline":"` + long()},
		"a long UID of an owner":             {`"uid":"` + row.Commit.Run.Result, `"uid":"` + long()},
		"a UID of an owner with a null byte": {`"uid":"` + row.Commit.Run.Result, `"uid":"a\u0000b`},
	}
}

// Whatever a user writes into a run, it gets a row, by every way into the index.
func testAnyText(t *testing.T, empty newURL) {
	sample := indextest.NewRow(1)
	for name, change := range anyText(&sample) {
		t.Run(name, func(t *testing.T) {
			a := indextest.NewArchive(t)
			row, _ := a.Add(t, 1, func(row *index.Row) {
				changed := strings.Replace(string(row.Record), change[0], change[1], 1)
				if changed == string(row.Record) {
					t.Fatal("nothing is changed")
				}
				row.Record = []byte(changed)
			})
			other, _ := a.Add(t, 2, nil)
			putURL, syncedURL := empty(t), empty(t)
			x := open(t, putURL)
			if err := x.Put(t.Context(), row, other); err != nil {
				t.Fatal(err)
			}
			want := dump(t, putURL)
			// What is in this table is in memory, too.
			if found := query(t, database(t, putURL), `SELECT name FROM indelible_names WHERE length(name) > 253`); len(
				found) > 0 {
				t.Errorf("%d names are kept at any length", len(found))
			}
			y := open(t, syncedURL)
			if totals := wantSync(t, index.Sync, a, y, nil); totals.Added != 2 || totals.Damaged != 0 {
				t.Errorf("%+v", totals)
			}
			if diff := cmp.Diff(want, dump(t, syncedURL)); diff != "" {
				t.Errorf("by Sync: %s", diff)
			}
			for statement := range strings.SplitSeq(version2, ";") {
				execute(t, database(t, putURL), statement)
			}
			z := open(t, putURL)
			if diff := cmp.Diff(want, dump(t, putURL)); diff != "" {
				t.Errorf("by a migration: %s", diff)
			}
			if got, err := z.Get(t.Context(), string(indextest.Cluster), row.Commit.Run.UID); err != nil ||
				string(got.Record) != string(row.Record) {
				t.Errorf("not the record: %v", err)
			}
		})
	}
}

func testAnyTextInObjects(t *testing.T, empty newURL) {
	sample := indextest.NewRow(1)
	for name, change := range anyText(&sample) {
		t.Run(name, func(t *testing.T) {
			x := open(t, empty(t))
			data := []byte(strings.Replace(string(sample.Record), change[0], change[1], 1))
			o := object.Object{Kind: object.Record, Parent: "team", Result: "r", ID: "i", Type: "x", Data: data,
				UID: "u", Key: "k", Generation: 1, Created: time.Now(), Updated: time.Now()}
			if err := x.PutObjects(t.Context(), string(indextest.Cluster), o); err != nil {
				t.Fatal(err)
			}
			o.Generation, o.Data = 2, sample.Record
			if err := x.PutObjects(t.Context(), string(indextest.Cluster), o); err != nil {
				t.Fatal(err)
			}
			if wrong, err := x.CheckCounts(t.Context(), false); err != nil || wrong != 0 {
				t.Errorf("%d counts are wrong, %v", wrong, err)
			}
		})
	}
}

// refuse makes a database refuse rows with a text.
func refuse(t *testing.T, rawURL, table, column, text string) {
	t.Helper()
	statement := `ALTER TABLE ` + table + ` ADD CHECK (` + column + ` <> '` + text + `')`
	if strings.HasPrefix(rawURL, "sqlite") {
		statement = `CREATE TRIGGER refuse BEFORE INSERT ON ` + table + ` WHEN NEW.` + column + ` = '` + text +
			`' BEGIN SELECT RAISE(ABORT, 'refused'); END`
	}
	execute(t, database(t, rawURL), statement)
}

// A row that the database refuses costs what makes it quicker to find, or itself, and no other.
func testRefused(t *testing.T, empty newURL) {
	for name, test := range map[string]struct {
		table, column string
		segments      bool
		damaged       int
	}{
		"a name that only helps to find it":            {table: "indelible_names", column: "name"},
		"that, from a segment":                         {table: "indelible_names", column: "name", segments: true},
		"what it cannot do without":                    {table: "indelible_runs", column: "name", damaged: 1},
		"what it cannot do without, also in a segment": {"indelible_runs", "name", true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := indextest.NewArchive(t)
			var key string
			for n := range runs {
				_, k := a.Add(t, n, func(row *index.Row) {
					vary(row, n)
					if n == 3 {
						row.Commit.Run.Name = "poison"
						row.Record = []byte(strings.Replace(string(row.Record), `"annotations":{`,
							`"annotations":{"pipelinesascode.tekton.dev/repository":"poison",`, 1))
					}
				})
				if n == 3 {
					key = k
				}
			}
			if test.segments {
				compact(t, a)
			}
			rawURL := empty(t)
			x := open(t, rawURL)
			refuse(t, rawURL, test.table, test.column, "poison")
			var reports []string
			if test.damaged > 0 {
				reports = []string{key}
			}
			for range 2 { // the second finds all but what is refused
				totals := wantSync(t, index.Sync, a, x, reports)
				if totals.Damaged != test.damaged {
					t.Errorf("%+v", totals)
				}
			}
			rows := 0
			for _, err := range x.Find(t.Context(), index.Query{Records: true}) {
				if rows++; err != nil {
					t.Fatal(err)
				}
			}
			if rows != runs-test.damaged {
				t.Errorf("%d rows of %d runs, %d of them refused", rows, runs, test.damaged)
			}
			if complete, err := x.Complete(t.Context(), string(indextest.Cluster)); err != nil || !complete {
				t.Errorf("complete: %v, %v", complete, err)
			}
		})
	}
}
