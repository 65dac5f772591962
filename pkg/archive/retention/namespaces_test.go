package retention_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/retention"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Rows are consecutive hours: which cluster checks, which namespaces it has, and which are gone.
func TestANamespaceIsDeletedWhenItWasSeenToGo(t *testing.T) {
	type look struct {
		cluster, there, archived string
		readOnly                 bool
		gone                     string
	}
	for name, looks := range map[string][]look{
		"what was never there is not gone": {
			{cluster: "a", there: "default"}, {cluster: "a", there: "default team"},
		},
		"what was there and is not": {
			{cluster: "a", there: "default team"}, {cluster: "a", there: "default", gone: "team"},
			{cluster: "a", there: "default", gone: "team"},
		},
		"what comes back is there": {
			{cluster: "a", there: "default team"}, {cluster: "a", there: "default", gone: "team"},
			{cluster: "a", there: "default team"}, {cluster: "a", there: "default", gone: "team"},
		},
		"a cluster built anew has deleted nothing": {
			{cluster: "a", there: "default team old"}, {cluster: "a", there: "default team", gone: "old"},
			{cluster: "b", there: "default"}, {cluster: "b", there: "default team"},
			{cluster: "b", there: "default", gone: "team"},
		},
		"what came and went between two looks": {
			{cluster: "a", there: "default"},
			{cluster: "a", there: "default", archived: "short default", gone: "short"},
		},
		"who only asks notes nothing": {
			{cluster: "a", there: "default team"}, {cluster: "a", there: "default", readOnly: true, gone: "team"},
			{cluster: "a", there: "default team"},
		},
		"who only asks in a cluster that nobody has noted": {
			{cluster: "a", there: "default", readOnly: true}, {cluster: "a", there: "default"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.NewDirectory(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for i, look := range looks {
				at := time.Date(2026, 11, 20, i, 0, 0, 0, time.UTC)
				gone, err := retention.DeletedNamespaces(t.Context(), retention.SeenOptions{
					Store: s, Cluster: "c", KubeSystem: look.cluster, There: strings.Fields(look.there),
					Archived: strings.Fields(look.archived), Now: at, ReadOnly: look.readOnly,
				})
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(slices.Sorted(maps.Keys(gone)), " "); got != look.gone {
					t.Errorf("look %d: gone are %q, want %q", i, got, look.gone)
				}
			}
		})
	}
	s, err := store.NewDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := retention.DeletedNamespaces(t.Context(),
		retention.SeenOptions{Store: s, Cluster: "c", KubeSystem: "a"}); err == nil {
		t.Error("a cluster without any namespace is believed")
	}
}

// A cluster that makes a namespace for each build deletes more than a record can have: it remembers
// the last ones, can be read again for ever, and keeps what it has forgotten.
func TestTheRecordOfDeletedNamespacesIsBounded(t *testing.T) {
	s, err := store.NewDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const eachDay, days = 25_000, 5
	for day := range days + 1 {
		there := []string{"default"}
		for i := range eachDay {
			there = append(there, fmt.Sprintf("%s-%d-%05d", strings.Repeat("n", 50), day, i))
		}
		gone, err := retention.DeletedNamespaces(t.Context(), retention.SeenOptions{
			Store: s, Cluster: "c", KubeSystem: "a", There: there,
			Now: time.Date(2026, 11, 1+day, 0, 0, 0, 0, time.UTC),
		})
		if err != nil {
			t.Fatalf("day %d: %v", day, err)
		}
		if want := min(day*eachDay, 50_000); len(gone) != want {
			t.Fatalf("day %d: %d are gone, want %d", day, len(gone), want)
		}
		for name := range gone {
			if day > 2 && strings.Contains(name, fmt.Sprintf("-%d-", day-3)) {
				t.Fatalf("day %d: %s is remembered, and later ones are not", day, name)
			}
		}
	}
}
