package lock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestHold(t *testing.T) {
	t.Run("keeps a second holder waiting, tells it once, and lets it in on release", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "new", "lock")
		release, err := Hold(t.Context(), path, func() { t.Error("waits for a free lock") })
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		second, err := Hold(t.Context(), path, func() { told++; release() })
		if err != nil {
			t.Fatal(err)
		}
		second()
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	})
	t.Run("ends waiting with its context", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		release, err := Hold(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := Hold(ctx, path, cancel); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("leaves no file behind", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		release, err := Hold(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		release()
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("lets one in at a time although each removes the file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		var group sync.WaitGroup
		var inside atomic.Int32
		for range 4 {
			group.Go(func() {
				for range 2 {
					release, err := Hold(t.Context(), path, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if now := inside.Add(1); now != 1 {
						t.Errorf("%d inside", now)
					}
					inside.Add(-1)
					release()
				}
			})
		}
		group.Wait()
	})
}
