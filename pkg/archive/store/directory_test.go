package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/archive/store/storetest"
)

func TestDirectory(t *testing.T) {
	storetest.Run(t, storetest.Options{Races: 200, StreamBytes: 64 << 20}, func(t *testing.T) func() store.Store {
		root := filepath.Join(t.TempDir(), "not", "there", "yet")
		return func() store.Store { return open(t, root) }
	})
}

// Hard links keep every promise as well, and leave no temporary names.
func TestDirectoryOfAFileSystemThatCannotRenameWithoutReplacing(t *testing.T) {
	storetest.Run(t, storetest.Options{Races: 200, StreamBytes: 1 << 20}, func(t *testing.T) func() store.Store {
		root := t.TempDir()
		t.Cleanup(func() {
			err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
				if strings.HasPrefix(filepath.Base(path), ".tmp-") {
					t.Errorf("left: %s", path)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		return func() store.Store { return store.LinkOnly(open(t, root)) }
	})
}

func open(t *testing.T, root string) *store.Directory {
	t.Helper()
	d, err := store.NewDirectory(root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A killed writer leaves a temporary file, and an active one has one.
func TestSweepRemovesAbandonedFilesOnly(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	if err := d.Create(t.Context(), "a/b", strings.NewReader("kept")); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, age := range map[string]time.Duration{"a/.tmp-old": 2 * time.Hour, "a/.tmp-new": time.Minute,
		".tmp-old": 25 * time.Hour} {
		path := filepath.Join(root, name)
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	for info, err := range d.List(t.Context(), "", "") {
		if err != nil || info.Key != "a/b" {
			t.Errorf("listed %+v, %v", info, err)
		}
	}
	if n, err := d.Sweep(t.Context(), time.Hour, now); n != 2 || err != nil {
		t.Errorf("removed %d, %v; want 2", n, err)
	}
	for name, want := range map[string]bool{"a/b": true, "a/.tmp-new": true, "a/.tmp-old": false, ".tmp-old": false} {
		if _, err := os.Stat(filepath.Join(root, name)); (err == nil) != want {
			t.Errorf("%s: %v, want there %v", name, err, want)
		}
	}
}

func TestDirectoryNamesWhatIsInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.NewDirectory(file); err == nil ||
		!strings.Contains(err.Error(), "there is a file of this name") {
		t.Errorf("got %v", err)
	}
	if _, err := store.NewDirectory(filepath.Join(file, "below")); err == nil || errors.Is(err, store.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
