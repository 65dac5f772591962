package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOnce(t *testing.T) {
	entry := Entry{Name: "thing-1", Key: "0123456789abcdef", Usual: 8 * time.Minute}
	fill := func(content string) func(context.Context, string) error {
		return func(_ context.Context, dir string) error {
			return os.WriteFile(filepath.Join(dir, "file"), []byte(content), 0o600)
		}
	}
	never := func(context.Context, string) error { return errors.New("built again") }
	newCache := func(t *testing.T) (*Cache, *strings.Builder) {
		var log strings.Builder
		return &Cache{Dir: t.TempDir(),
				Log: func(format string, args ...any) { fmt.Fprintf(&log, format+"\n", args...) }},
			&log
	}

	t.Run("builds once, says what takes how long, and finds the build later", func(t *testing.T) {
		cache, log := newCache(t)
		if cache.Has("thing-1") {
			t.Error("has what was never built")
		}
		dir, err := cache.Once(t.Context(), entry, fill("x"))
		if err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(filepath.Join(dir, "file")); string(content) != "x" {
			t.Errorf("got %q, %v", content, err)
		}
		if again, err := cache.Once(t.Context(), entry, never); again != dir || err != nil {
			t.Errorf("got %s, %v", again, err)
		}
		if want := "building thing-1; with empty caches on two cores that takes about 8m\nbuilt thing-1 in 0s\n"; log.String() != want {
			t.Errorf("got %q, want %q", log, want)
		}
		if !cache.Has("thing-1") || cache.Has("thing") {
			t.Error("does not know what it has")
		}
	})
	t.Run("leaves nothing of a build that failed", func(t *testing.T) {
		cache, _ := newCache(t)
		if _, err := cache.Once(t.Context(), entry,
			func(context.Context, string) error { return os.ErrInvalid }); !errors.Is(
			err, os.ErrInvalid) {
			t.Fatalf("got %v", err)
		}
		if left, _ := os.ReadDir(cache.Dir); len(left) != 0 {
			t.Errorf("left %v", left)
		}
		if _, err := cache.Once(t.Context(), entry, fill("y")); err != nil {
			t.Error(err)
		}
	})
	t.Run("starts afresh after a process was killed in a build", func(t *testing.T) {
		cache, _ := newCache(t)
		half := filepath.Join(cache.Dir, "thing-1-0123456789abcdef.partial")
		if err := errors.Join(os.Mkdir(half, 0o700),
			os.WriteFile(filepath.Join(half, "half"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if cache.Has("thing-1") {
			t.Error("takes a half build for a build")
		}
		dir, err := cache.Once(t.Context(), entry, fill("z"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "half")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the half build is in the whole one: %v", err)
		}
	})
}

func TestDefaultDir(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"takes INDELIBLE_CACHE first": {
			map[string]string{"INDELIBLE_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"},
			"/a"},
		"takes the user's cache folder":    {map[string]string{"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/indelible"},
		"takes .cache in the home instead": {map[string]string{"HOME": "/c"}, "/c/.cache/indelible"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := DefaultDir(func(name string) string { return test.env[name] }); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
