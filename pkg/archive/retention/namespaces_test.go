package retention_test

import (
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
