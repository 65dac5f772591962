package index_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
)

// newURL returns the URL of an empty database.
type newURL func(t *testing.T) string

// TestDatabases runs the tests that every kind of database must pass.
func TestDatabases(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) func(t *testing.T) string{"sqlite": sqliteFiles,
		"postgres": indextest.Postgres} {
		t.Run(name, func(t *testing.T) {
			empty := newURL(start(t))
			for name, test := range map[string]func(t *testing.T, empty newURL){
				"contract": testContract, "open": testOpen, "open by many": testOpenByMany,
				"damaged rows":             testDamagedRows,
				"specs go with their runs": testSpecsGoWithTheirRuns, "rebuild is identical": testRebuildIsIdentical,
				"migrated": testMigrated, "made by version 3": testVersion3, "plans": testPlans,
				"ties of many groups": testTiesOfManyGroups, "any text of a user": testAnyText,
				"text of a user in objects": testAnyTextInObjects, "what the database refuses": testRefused,
			} {
				t.Run(name, func(t *testing.T) { test(t, empty) })
			}
		})
	}
}

func sqliteFiles(*testing.T) func(t *testing.T) string {
	return func(t *testing.T) string {
		file := url.URL{Scheme: "sqlite", Path: filepath.Join(t.TempDir(), "not", "there yet?", "index.db")}
		return file.String()
	}
}

func testContract(t *testing.T, empty newURL) {
	indextest.Run(t, func(t *testing.T) func() index.Index {
		url := empty(t)
		return func() index.Index { return open(t, url) }
	})
}

func open(t *testing.T, url string) index.Index {
	t.Helper()
	x, err := index.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func TestForbiddenURLs(t *testing.T) {
	for url, want := range map[string]string{
		"":                            "scheme",
		"mysql://host/db":             "scheme",
		"sqlite://relative/index.db":  "absolute path",
		"sqlite:index.db":             "absolute path",
		"sqlite:///a.db?mode=memory":  "absolute path",
		"postgres://u:secret@h:port/": "index",
		"sqlite:///dev/null/index.db": "/dev/null",
	} {
		x, err := index.Open(t.Context(), url)
		if err == nil {
			_ = x.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
}
