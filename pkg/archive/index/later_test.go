package index

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// While the database does not answer, calls fail; once it answers, they succeed.
func TestOpenLater(t *testing.T) {
	at, tries := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), 0
	refused := errors.New("connection refused")
	open := func(ctx context.Context) (Index, error) {
		if tries++; tries < 3 {
			return nil, refused
		}
		return Open(ctx, "sqlite://"+filepath.Join(t.TempDir(), "index.db"))
	}
	x, err := openLater(t.Context(), open, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	fails := func(when string) {
		t.Helper()
		calls := map[string]error{"Put": x.Put(t.Context()), "Delete": x.Delete(t.Context(), "c"),
			"SetComplete": x.SetComplete(t.Context(), "c", true)}
		_, calls["Get"] = x.Get(t.Context(), "c", "u")
		_, calls["Complete"] = x.Complete(t.Context(), "c")
		for _, err := range x.Find(t.Context(), Query{}) {
			calls["Find"] = err
		}
		for _, err := range x.Keys(t.Context(), "c", "") {
			calls["Keys"] = err
		}
		for name, err := range calls {
			if !errors.Is(err, ErrUnavailable) || !errors.Is(err, refused) {
				t.Errorf("%s: %s: %v", when, name, err)
			}
		}
	}
	fails("at first")
	if tries != 1 {
		t.Errorf("tried %d times at once", tries)
	}
	at = at.Add(reopenAfter)
	fails("when it is tried again")
	at = at.Add(reopenAfter)
	if complete, err := x.Complete(t.Context(), "c"); complete || err != nil || tries != 3 {
		t.Errorf("when it answers: %v, %v after %d tries", complete, err, tries)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if err := x.Put(t.Context()); err == nil {
		t.Error("it is not closed")
	}
	for name, err := range map[string]error{"another version": ErrVersion, "no URL of an index": ErrURL} {
		if _, got := openLater(t.Context(), func(context.Context) (Index, error) {
			return nil, err
		}, time.Now); !errors.Is(got, err) {
			t.Errorf("%s is no matter of time: %v", name, got)
		}
	}
}
