package index_test

import (
	"database/sql"
	"errors"
	"net/url"
	"sync"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
)

// database is an index's, without its code.
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

func testOpen(t *testing.T, empty newURL) {
	row := indextest.NewRow(1)
	for name, test := range map[string]struct {
		do   func(t *testing.T, db *sql.DB)
		kept bool
	}{
		"keep an index of this version":                  {do: func(*testing.T, *sql.DB) {}, kept: true},
		"empty one of another version":                   {do: func(t *testing.T, db *sql.DB) { execute(t, db, `UPDATE indelible_schema SET version = version + 1`) }},
		"empty one of which making broke off":            {do: func(t *testing.T, db *sql.DB) { execute(t, db, `DELETE FROM indelible_schema`) }},
		"leave alone what others have in their database": {do: func(t *testing.T, db *sql.DB) { execute(t, db, `CREATE TABLE runs (id INTEGER)`) }, kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			rawURL := empty(t)
			x := open(t, rawURL)
			if err := x.Put(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			test.do(t, database(t, rawURL))
			y := open(t, rawURL)
			_, err := y.Get(t.Context(), string(indextest.Cluster), row.Commit.Run.UID)
			if test.kept != (err == nil) || err != nil && !errors.Is(err, index.ErrNotFound) {
				t.Errorf("got %v, want kept %v", err, test.kept)
			}
			if err := y.Put(t.Context(), row); err != nil {
				t.Error(err)
			}
		})
	}
}

// Several programs that start at once on an empty database make one index.
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

// A row that is not as it was put is an error, and never another run or none.
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

// With the last run of a Task its copy goes, and not before.
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
		if err := x.Put(t.Context(), indextest.NewRow(2)); err != nil { // replacing is no end of it
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
