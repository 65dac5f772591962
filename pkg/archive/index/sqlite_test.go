package index_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
)

func TestSQLite(t *testing.T) {
	indextest.Run(t, func(t *testing.T) func() index.Index {
		file := url.URL{Scheme: "sqlite", Path: filepath.Join(t.TempDir(), "not", "there yet?", "index.db")}
		return func() index.Index { return open(t, file.String()) }
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
