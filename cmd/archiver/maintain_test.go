package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/identity"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/config"
)

// behind is a store whose clock is behind by so much.
type behind struct {
	store.Store
	by time.Duration
}

func (b behind) Stat(ctx context.Context, key string) (store.Info, error) {
	info, err := b.Store.Stat(ctx, key)
	info.Modified = info.Modified.Add(-b.by)
	return info, err
}

func (b behind) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range b.Store.List(ctx, prefix, after) {
			info.Modified = info.Modified.Add(-b.by)
			if !yield(info, err) {
				return
			}
		}
	}
}

// maintained is the archive of makeArchive as a working archiver has it open. The fake API server
// has this machine's clock and the namespaces team and kube-system.
func (m *madeArchive) maintained(t *testing.T, retention ...config.Retention) (*replica, *archive) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/selfsubjectreviews"):
			_, _ = fmt.Fprintf(w, `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview",
				"metadata":{"creationTimestamp":%q}}`, time.Now().UTC().Format(time.RFC3339))
		case r.URL.Path == "/api/v1/namespaces":
			_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": "NamespaceList", "items": []any{
				map[string]any{"metadata": map[string]any{"name": "team"}},
				map[string]any{"metadata": map[string]any{"name": "kube-system"}},
			}})
		default:
			t.Errorf("unexpected request for %s", r.URL.Path)
		}
	}))
	t.Cleanup(server.Close)
	kube, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	must(t, err)
	opened := &archive{cluster: "prod", kubeSystem: ownerUID, config: config.Archive{Retention: retention}}
	opened.store, err = store.NewDirectory(m.root)
	must(t, err)
	opened.index, err = index.Open(t.Context(), "sqlite://"+m.database)
	must(t, err)
	t.Cleanup(opened.close)
	return &replica{kube: kube, log: logr.Discard(), metrics: archiver.NewMetrics(nil)}, opened
}

// An archiver at work has stored a part just now, and will commit it. On a machine whose clock is
// two days ahead of the store's, the part looks abandoned.
func TestSweepByAClockThatIsAhead(t *testing.T) {
	for name, tt := range map[string]struct {
		age, ahead time.Duration
		left       bool
	}{
		"leave what was stored just now":                            {0, 0, true},
		"leave it by a clock that is two days ahead":                {0, 48 * time.Hour, true},
		"delete what was stored days ago":                           {48 * time.Hour, 0, false},
		"delete what was stored days ago, by a clock that is ahead": {48 * time.Hour, 48 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := makeArchive(t)
			r, a := m.maintained(t)
			key, err := a.cluster.Part(layout.Run{Created: time.Now(), UID: "at-work"}, "k3v9x2m4q8", "record.json")
			must(t, err)
			must(t, a.store.Create(t.Context(), key, strings.NewReader("{}")))
			at := time.Now().Add(-tt.age)
			must(t, os.Chtimes(m.root+"/"+key, at, at))
			a.store = behind{a.store, tt.ahead}
			must(t, sweepArchive(t.Context(), r, a))
			if _, err := a.store.Stat(t.Context(), key); (err == nil) != tt.left {
				t.Errorf("%v, want it left %v", err, tt.left)
			}
		})
	}
}

// Another cluster has adopted the archive while this archiver works on it.
func TestMaintenanceOfAnArchiveThatAnotherClusterHasAdopted(t *testing.T) {
	for name, do := range map[string]func(context.Context, *replica, *archive) error{
		"retention": applyRetention, "objects": compactObjects, "sweep": sweepArchive,
		"all": func(ctx context.Context, r *replica, a *archive) error { return r.maintain(ctx, a) },
	} {
		t.Run(name, func(t *testing.T) {
			m := makeArchive(t)
			r, a := m.maintained(t, config.Retention{Name: "old", After: 24 * time.Hour})
			must(t, identity.Adopt(t.Context(), a.store, a.cluster, ownerUID, "another", "test", time.Now()))
			if err := do(t.Context(), r, a); !errors.Is(err, identity.ErrForeign) {
				t.Errorf("got %v, want ErrForeign", err)
			}
			if _, err := os.Stat(m.commit); err != nil {
				t.Errorf("the run is gone: %v", err)
			}
		})
	}
}

func TestRetentionTask(t *testing.T) {
	m := makeArchive(t)
	r, a := m.maintained(t, config.Retention{Name: "old", After: 24 * time.Hour})
	must(t, applyRetention(t.Context(), r, a))
	if _, err := os.Stat(m.commit); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the run, a year old, is still there: %v", err)
	}
}
