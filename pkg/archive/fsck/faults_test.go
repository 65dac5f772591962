package fsck

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// once is a store on which each first read ends too early, as over a connection that is cut.
type once struct {
	store.Store
	mu   sync.Mutex
	read map[string]bool
}

func (s *once) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	s.mu.Lock()
	again := s.read[key]
	s.read[key] = true
	s.mu.Unlock()
	object, err := s.Store.Open(ctx, key)
	if err != nil || again {
		return object, err
	}
	data, err := io.ReadAll(object)
	return io.NopCloser(bytes.NewReader(data[:len(data)/2])), errors.Join(err, object.Close())
}

func TestACutConnectionIsNoDamage(t *testing.T) {
	w := newTools(t)
	totals, err := Check(t.Context(), Options{Store: &once{Store: w.store, read: map[string]bool{}}, Cluster: cluster,
		Now: time.Now(), Found: func(f Finding) { t.Error(f) }})
	if err != nil || totals.Commits != 2 || totals.Objects != 3 {
		t.Errorf("%+v, %v", totals, err)
	}
}

// meanwhile calls do before the nth read of a key, and fails that read with what do returns.
type meanwhile struct {
	store.Store
	key string
	n   int
	do  func() error
}

func (s *meanwhile) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if key == s.key {
		if s.n--; s.n == 0 {
			if err := s.do(); err != nil {
				return nil, err
			}
		}
	}
	return s.Store.Open(ctx, key)
}

// A store that does not answer when something is looked up again is an error, and no finding.
func TestCheckStopsWhereItCannotLookAgain(t *testing.T) {
	w := newTools(t)
	remove(t, w.path(w.content))
	away := errors.New("connection reset")
	failing := &meanwhile{Store: w.store, key: w.log, n: 2, do: func() error { return away }}
	_, err := Check(t.Context(), Options{Store: failing, Cluster: cluster, Now: time.Now(), Found: func(f Finding) {
		t.Error(f)
	}})
	if !errors.Is(err, away) {
		t.Errorf("got %v", err)
	}
}

// Retention deletes a commit before its parts, also while the archive is checked.
func TestARunThatIsDeletedMeanwhileMissesNothing(t *testing.T) {
	a := newArchive(t)
	deleting := &meanwhile{Store: a.store, key: a.record, n: 1, do: func() error {
		return errors.Join(a.store.Delete(t.Context(), a.commit), a.store.Delete(t.Context(), a.record))
	}}
	var got []string
	_, err := Check(t.Context(), Options{Store: deleting, Cluster: cluster, Now: time.Now(), Found: func(f Finding) {
		got = append(got, f.String())
	}})
	if err != nil || slices.ContainsFunc(got, func(text string) bool { return strings.Contains(text, "missing") }) {
		t.Errorf("got %q, %v", got, err)
	}
}
