//go:build e2e

package e2e

import (
	"context"
	"io"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// requests is a store that records the requests to it, as a bucket's owner pays for them.
type requests struct {
	store.Store
	mu    sync.Mutex
	asked []string
}

func (r *requests) ask(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, what)
}

func (r *requests) Create(ctx context.Context, key string, body io.Reader) error {
	r.ask("PUT")
	return r.Store.Create(ctx, key, body)
}

func (r *requests) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r.ask("GET")
	return r.Store.Open(ctx, key)
}

func (r *requests) Stat(ctx context.Context, key string) (store.Info, error) {
	r.ask("HEAD")
	return r.Store.Stat(ctx, key)
}

func (r *requests) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	r.ask("LIST")
	return r.Store.List(ctx, prefix, after)
}

func (r *requests) Delete(ctx context.Context, key string) error {
	r.ask("DELETE")
	return r.Store.Delete(ctx, key)
}

// The costs of a bucket in docs/operations.md: a run whose record, events and logs are small is one
// object, which is looked up, written, and read back; each long log is another, which is written
// and read back.
func TestRequestsForARun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script string
		want   []string
	}{
		"with a short log": {"echo hello", []string{"GET", "PUT", "GET"}},
		"with a long log":  {"seq 1 20000", []string{"GET", "PUT", "GET", "PUT", "GET"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			counts := &requests{Store: directory(t)}
			a := newArchivist(t, counts, archiver.Follow)
			p.create(a.mine(taskRunOf("- {name: text}", tt.script+"; printf true > $(results.text.path)")))
			p.archived("run")
			a.stop()
			if diff := cmp.Diff(tt.want, slices.Clone(counts.asked)); diff != "" {
				t.Errorf("requests: %s", diff)
			}
		})
	}
}
