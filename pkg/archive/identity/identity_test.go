package identity_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/identity"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

var at = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func directory(t *testing.T) store.Store {
	t.Helper()
	s, err := store.NewDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnArchiveIsOneClustersUntilItIsAdopted(t *testing.T) {
	s := directory(t)
	bind := func(cluster layout.Cluster, kubeSystem string) error {
		return identity.Bind(t.Context(), s, cluster, kubeSystem, "archiver-"+kubeSystem, at)
	}
	for _, tt := range []struct {
		name       string
		cluster    layout.Cluster
		kubeSystem string
		foreign    bool
	}{
		{"an archive that is nobody's is bound", "prod", "one", false},
		{"again by the same cluster", "prod", "one", false},
		{"not by another one of that name", "prod", "two", true},
		{"which has another name on the same store", "staging", "two", false},
	} {
		err := bind(tt.cluster, tt.kubeSystem)
		if errors.Is(err, identity.ErrForeign) != tt.foreign || err != nil && !tt.foreign {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.foreign && !strings.Contains(err.Error(), "archiver adopt --from=one") {
			t.Errorf("%s: the error does not say what to do: %v", tt.name, err)
		}
	}
	for _, from := range []string{"two", "three", ""} {
		if err := identity.Adopt(t.Context(), s, "prod", from, "two", "ada", at); err == nil {
			t.Errorf("adopted from %q, whose it is not", from)
		}
	}
	if err := identity.Adopt(t.Context(), s, "other", "one", "two", "ada", at); err == nil {
		t.Error("adopted what is nobody's")
	}
	if err := identity.Adopt(t.Context(), s, "prod", "one", "two", "ada", at); err != nil {
		t.Fatal(err)
	}
	if err := bind("prod", "two"); err != nil {
		t.Error(err)
	}
	if err := bind("prod", "one"); !errors.Is(err, identity.ErrForeign) || !strings.Contains(err.Error(), "by ada") {
		t.Errorf("the cluster that lost it goes on: %v", err)
	}
}

func TestOfClustersThatBindAtOnceOneDoes(t *testing.T) {
	s, bound := directory(t), atomic.Int32{}
	var all sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		all.Go(func() {
			switch err := identity.Bind(t.Context(), s, "prod", name, name, at); {
			case err == nil:
				bound.Add(1)
			case !errors.Is(err, identity.ErrForeign):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if bound.Load() != 1 {
		t.Errorf("%d clusters have it", bound.Load())
	}
}

func TestAnIdentityThatCannotBeReadIsNobodysToTake(t *testing.T) {
	for name, text := range map[string]string{"no JSON": "{", "nothing in it": "{}"} {
		s := directory(t)
		if err := s.Create(t.Context(), layout.Number(layout.Cluster("prod").Identities(), 3),
			strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if err := identity.Bind(t.Context(), s, "prod", "one", "x", at); err == nil {
			t.Errorf("%s: bound", name)
		}
	}
}
