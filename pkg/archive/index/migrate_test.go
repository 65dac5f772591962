package index_test

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
)

// A migrated index is the same as one that this version creates.
func testMigrated(t *testing.T, empty newURL) {
	rawURL := empty(t)
	x := open(t, rawURL)
	var rows []index.Row
	for n := range 300 { // more than a page
		row := indextest.NewRow(n)
		if n%3 > 0 { // whose records differ from their commits
			vary(&row, n)
		}
		if n%5 == 3 { // of one Result; the first has no owner
			row.Commit.Run.Result = "nightly"
			row.Record = []byte(strings.Replace(string(row.Record), `"ownerReferences":[`, `"ownerReferences":[],"x":[`,
				1))
			row.Commit.Run.ResultAnnotations = map[string]string{"n": fmt.Sprint(n)}
		}
		indextest.Seal(&row)
		rows = append(rows, row)
	}
	if err := x.Put(t.Context(), rows...); err != nil {
		t.Fatal(err)
	}
	want := dump(t, rawURL)
	for name := range want {
		if len(want[name]) == 0 {
			t.Fatalf("there are no %s to compare", name)
		}
	}
	db := database(t, rawURL)
	for statement := range strings.SplitSeq(version3, ";") {
		execute(t, db, statement)
	}
	y := open(t, rawURL)
	if diff := cmp.Diff(want, dump(t, rawURL)); diff != "" {
		t.Error(diff)
	}
	// It can be used from then on.
	if err := y.Put(t.Context(), indextest.NewRow(1000), rows[7]); err != nil {
		t.Error(err)
	}
	if err := y.Delete(t.Context(), string(indextest.Cluster), indextest.NewRow(1000).Commit.Run.UID); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, dump(t, rawURL)); diff != "" {
		t.Errorf("after a row was replaced, and another put and deleted: %s", diff)
	}
}

// made3 are the tables of an index that version 3 made of the first rows of NewRow and vary, with
// each value as JSON; tables3 is how it created them.
//
//go:embed testdata/version3.json
var made3 []byte

const tables3 = `CREATE TABLE indelible_runs (
		id {id},
		cluster {text} NOT NULL, namespace {text} NOT NULL, name {text} NOT NULL, uid {text} NOT NULL,
		api_version {text} NOT NULL, kind {text} NOT NULL, result {text} NOT NULL,
		status {text} NOT NULL, reason {text} NOT NULL,
		created BIGINT NOT NULL, completed BIGINT, committed BIGINT NOT NULL,
		manifest {bytes} NOT NULL, parent {text} NOT NULL DEFAULT '',
		UNIQUE (uid, cluster));
	CREATE INDEX indelible_runs_created ON indelible_runs (cluster, created);
	CREATE INDEX indelible_runs_namespace ON indelible_runs (namespace, created);
	CREATE INDEX indelible_runs_name ON indelible_runs (name);
	CREATE INDEX indelible_runs_result ON indelible_runs (result);
	CREATE INDEX indelible_runs_parent ON indelible_runs (parent) WHERE parent > '!';
	CREATE TABLE indelible_specs (id {id}, digest {bytes} NOT NULL UNIQUE, data {bytes} NOT NULL);
	CREATE TABLE indelible_records (id {key}, spec BIGINT, data {bytes} NOT NULL);
	CREATE INDEX indelible_records_spec ON indelible_records (spec);
	CREATE TABLE indelible_complete (cluster {text} PRIMARY KEY);
	CREATE TABLE indelible_schema (version INTEGER NOT NULL)`

// A migrated index of version 3 is the same as one that this version makes of the same runs.
func testVersion3(t *testing.T, empty newURL) {
	old, fresh := empty(t), empty(t)
	open(t, old) // for its folder
	db := database(t, old)
	for _, table := range []string{"records", "specs", "runs", "complete", "scopes", "groups", "names", "labels",
		"results", "objects", "rollups", "schema"} {
		execute(t, db, "DROP TABLE indelible_"+table)
	}
	types := strings.NewReplacer("{id}", "INTEGER PRIMARY KEY", "{key}", "INTEGER PRIMARY KEY", "{text}", "TEXT",
		"{bytes}", "BLOB")
	if strings.HasPrefix(old, "postgres") {
		types = strings.NewReplacer("{id}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "{key}",
			"BIGINT PRIMARY KEY", "{text}", `TEXT COLLATE "C"`, "{bytes}", "BYTEA")
	}
	for statement := range strings.SplitSeq(types.Replace(tables3), ";") {
		execute(t, db, statement)
	}
	fill(t, old)
	x, y := open(t, old), open(t, fresh)
	for n := range 12 {
		row := indextest.NewRow(n)
		vary(&row, n)
		indextest.Seal(&row)
		if err := y.Put(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	want := dump(t, fresh)
	if diff := cmp.Diff(want, dump(t, old)); diff != "" {
		t.Error(diff)
	}
	if complete, err := x.Complete(t.Context(), string(indextest.Cluster)); err != nil || !complete {
		t.Errorf("complete: %v, %v", complete, err)
	}
	if err := x.Put(t.Context(), indextest.NewRow(3)); err != nil {
		t.Error(err)
	}
}

// fill inserts the rows of version 3's tables.
func fill(t *testing.T, rawURL string) {
	t.Helper()
	var tables map[string][]map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(made3)))
	decoder.UseNumber()
	if err := decoder.Decode(&tables); err != nil {
		t.Fatal(err)
	}
	db := database(t, rawURL)
	for name, rows := range tables {
		for _, row := range rows {
			columns := slices.Sorted(maps.Keys(row))
			var places []string
			var values []any
			for i, column := range columns {
				value := row[column]
				switch v := value.(type) {
				case map[string]any:
					data, err := hex.DecodeString(v["hex"].(string))
					if err != nil {
						t.Fatal(err)
					}
					value = data
				case json.Number:
					n, err := v.Int64()
					if err != nil {
						t.Fatal(err)
					}
					value = n
				}
				places, values = append(places, fmt.Sprint("$", i+1)), append(values, value)
			}
			overriding := ""
			if strings.HasPrefix(rawURL, "postgres") && slices.Contains(columns, "id") {
				overriding = "OVERRIDING SYSTEM VALUE"
			}
			text := fmt.Sprintf("INSERT INTO %s (%s) %s VALUES (%s)", name, strings.Join(columns, ", "), overriding,
				strings.Join(places, ", "))
			if _, err := db.ExecContext(t.Context(), text, values...); err != nil {
				t.Fatal(err)
			}
		}
	}
	if strings.HasPrefix(rawURL, "postgres") { // ids were inserted without the sequences
		for _, table := range []string{"indelible_runs", "indelible_specs"} {
			execute(t, db, "SELECT setval(pg_get_serial_sequence('"+table+"', 'id'), 1000)")
		}
	}
}
