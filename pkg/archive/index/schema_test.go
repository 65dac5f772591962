package index_test

import (
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
)

// database opens an index's database without this package.
func database(t *testing.T, rawURL string) *sql.DB {
	t.Helper()
	driver, source := "pgx", rawURL
	if u, err := url.Parse(rawURL); err == nil && u.Scheme == "sqlite" {
		driver, source = "sqlite", (&url.URL{Scheme: "file", Path: u.Path}).String()
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// version3 turns an index into what Indelible made before the query API (TestVersion3 verifies
// that), version2 into what it made before parents.
const (
	version3 = `DROP INDEX indelible_runs_group; DROP INDEX indelible_runs_updated; ALTER TABLE indelible_runs DROP COLUMN grp;
		ALTER TABLE indelible_runs DROP COLUMN started; ALTER TABLE indelible_runs DROP COLUMN pipeline; ALTER TABLE indelible_runs DROP COLUMN repository;
		ALTER TABLE indelible_runs DROP COLUMN flags; DROP TABLE indelible_scopes; DROP TABLE indelible_groups; DROP TABLE indelible_names;
		DROP TABLE indelible_labels; DROP TABLE indelible_results; DROP TABLE indelible_objects; DROP TABLE indelible_rollups; UPDATE indelible_schema SET version = 3`
	version2 = version3 +
		`; DROP INDEX indelible_runs_parent; ALTER TABLE indelible_runs DROP COLUMN parent; DROP TABLE indelible_complete; UPDATE indelible_schema SET version = 2`
)

func testOpen(t *testing.T, empty newURL) {
	row := indextest.NewRow(1)
	for name, test := range map[string]struct {
		do string
		// kept: the archiver finds the row. reader, writer: it can be opened as that.
		kept, reader, writer bool
	}{
		"keep an index of this version":                  {kept: true, reader: true, writer: true},
		"bring one of the version before up to this one": {do: version3, kept: true, writer: true},
		"bring one of the version before that as well":   {do: version2, kept: true, writer: true},
		"empty one of a version that nobody has":         {do: `UPDATE indelible_schema SET version = 1`, writer: true},
		"leave one of a later version alone": {do: `UPDATE indelible_schema SET version = version + 1`,
			kept: true},
		"empty one of which making broke off": {do: `DELETE FROM indelible_schema`, writer: true},
		"leave alone what others have in their database": {do: `CREATE TABLE runs (id INTEGER)`, kept: true,
			reader: true, writer: true},
	} {
		t.Run(name, func(t *testing.T) {
			rawURL := empty(t)
			x := open(t, rawURL)
			if err := x.Put(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			db := database(t, rawURL)
			for statement := range strings.SplitSeq(test.do, ";") {
				execute(t, db, statement)
			}
			rows := func(when string) {
				t.Helper()
				var n int
				if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM indelible_runs`).Scan(&n); err != nil ||
					n != 1 {
					t.Errorf("%s has left %d rows, %v", when, n, err)
				}
			}
			reader, err := index.OpenReader(t.Context(), rawURL)
			if test.reader != (err == nil) || err != nil && !errors.Is(err, index.ErrVersion) {
				t.Errorf("a reader: got %v, want usable %v", err, test.reader)
			}
			if err == nil {
				_ = reader.Close()
			}
			rows("a reader")
			y, err := index.Open(t.Context(), rawURL)
			if test.writer != (err == nil) || err != nil && !errors.Is(err, index.ErrVersion) {
				t.Fatalf("got %v, want usable %v", err, test.writer)
			}
			if err != nil {
				rows("a program of an earlier version")
				return
			}
			defer y.Close()
			_, err = y.Get(t.Context(), string(indextest.Cluster), row.Commit.Run.UID)
			if test.kept != (err == nil) || err != nil && !errors.Is(err, index.ErrNotFound) {
				t.Errorf("got %v, want kept %v", err, test.kept)
			}
			for found, err := range y.Find(t.Context(), index.Query{Parent: row.Commit.Run.Result}) {
				if err != nil || found.Commit.Run.UID != row.Commit.Run.UID || !test.kept {
					t.Errorf("by its parent: %+v, %v", found.Commit, err)
				}
				test.kept = false
			}
			if test.kept {
				t.Error("it is not found by its parent")
			}
			if err := y.Put(t.Context(), row); err != nil {
				t.Error(err)
			}
		})
	}
	reader, err := index.OpenReader(t.Context(), empty(t))
	if !errors.Is(err, index.ErrVersion) {
		t.Errorf("a reader where there is nothing: %v, %v", reader, err)
	}
}

// Several programs that start at once on an empty database create one index.
func testOpenByMany(t *testing.T, empty newURL) {
	rawURL := empty(t)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			x, err := index.Open(t.Context(), rawURL)
			if err != nil {
				t.Error(err)
				return
			}
			defer x.Close()
			if err := x.Put(t.Context(), indextest.NewRow(n)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	n := 0
	for _, err := range open(t, rawURL).Find(t.Context(), index.Query{Records: true}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 8 {
		t.Errorf("%d rows, want 8", n)
	}
}

// A damaged row is an error, never another run or none.
func testDamagedRows(t *testing.T, empty newURL) {
	row := indextest.NewRow(1)
	for name, damage := range map[string]string{
		"another uid":         `UPDATE indelible_runs SET uid = 'other'`,
		"another name":        `UPDATE indelible_runs SET name = 'other-with-a-length'`,
		"another manifest":    `UPDATE indelible_runs SET manifest = (SELECT data FROM indelible_records)`,
		"another record":      `UPDATE indelible_records SET data = (SELECT manifest FROM indelible_runs)`,
		"no record":           `DELETE FROM indelible_records`,
		"no spec":             `DELETE FROM indelible_specs`,
		"a spec of no record": `UPDATE indelible_records SET spec = NULL`,
		"another spec":        `UPDATE indelible_specs SET data = (SELECT data FROM indelible_records)`,
	} {
		t.Run("find "+name, func(t *testing.T) {
			rawURL := empty(t)
			x := open(t, rawURL)
			if err := x.Put(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			execute(t, database(t, rawURL), damage)
			var err error
			for _, err = range x.Find(t.Context(), index.Query{Records: true}) {
				break
			}
			if !errors.Is(err, index.ErrDamaged) {
				t.Errorf("Find: got %v, want ErrDamaged", err)
			}
		})
	}
}

// A spec is deleted with the last run that refers to it, and not before.
func testSpecsGoWithTheirRuns(t *testing.T, empty newURL) {
	rawURL := empty(t)
	x, db := open(t, rawURL), database(t, rawURL)
	for n, want := range []int{1, 1, 1} {
		if err := x.Put(t.Context(), indextest.NewRow(n)); err != nil {
			t.Fatal(err)
		}
		wantSpecs(t, db, want)
	}
	for n, want := range []int{1, 1, 0} {
		if err := x.Put(t.Context(), indextest.NewRow(2)); err != nil { // replacing does not delete it
			t.Fatal(err)
		}
		if err := x.Delete(t.Context(), string(indextest.Cluster), indextest.NewRow(n).Commit.Run.UID); err != nil {
			t.Fatal(err)
		}
		wantSpecs(t, db, want)
	}
}

func wantSpecs(t *testing.T, db *sql.DB, want int) {
	t.Helper()
	var got int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM indelible_specs`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%d specs, want %d", got, want)
	}
}
