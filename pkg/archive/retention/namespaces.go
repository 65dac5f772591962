package retention

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/numbered"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A namespace that is not there may never have been: a cluster that was built anew has none of the old ones in its first minutes. So it
// counts as deleted only if it was seen to be there, by the same cluster, and then not to be.

// Seen is what is known of a cluster's namespaces. It is kept in the archive.
type Seen struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// KubeSystem is the cluster that they were seen in (pkg/archive/identity).
	KubeSystem string `json:"kubeSystem"`
	// There are those that were there when it was last looked, Gone those that were before, and when they were missed first.
	There []string             `json:"there"`
	Gone  map[string]time.Time `json:"gone,omitempty"`
}

// SeenOptions say what is to be noted.
type SeenOptions struct {
	Store      store.Store
	Cluster    layout.Cluster
	KubeSystem string
	// There are the namespaces that the cluster has, Archived some that it had lately: those of runs that were archived.
	There, Archived []string
	Now             time.Time
	// ReadOnly notes nothing: what was noted before, and is not there now, counts.
	ReadOnly bool
}

// DeletedNamespaces notes which namespaces there are, and returns since when those are gone that were there.
func DeletedNamespaces(ctx context.Context, o SeenOptions) (map[string]time.Time, error) {
	if len(o.There) == 0 {
		return nil, errors.New("the cluster has no namespace, which no cluster says that works")
	}
	before := Seen{}
	n, err := numbered.Read(ctx, o.Store, o.Cluster.Namespaces(), &before)
	if err != nil {
		return nil, fmt.Errorf("which namespaces were seen: %w", err)
	}
	if before.KubeSystem != o.KubeSystem {
		before = Seen{} // of the cluster whose place this one has taken
	}
	now := before.next(o)
	if !o.ReadOnly && !now.same(before) {
		if err := numbered.Write(ctx, o.Store, o.Cluster.Namespaces(), n, now); err != nil {
			return nil, fmt.Errorf("which namespaces were seen: %w", err)
		}
	}
	return now.Gone, nil
}

func (s Seen) next(o SeenOptions) Seen {
	there := map[string]bool{}
	for _, name := range o.There {
		there[name] = true
	}
	next := Seen{
		APIVersion: "archive.indelible.dev/v1", Kind: "Namespaces", KubeSystem: o.KubeSystem,
		There: slices.Sorted(maps.Keys(there)), Gone: map[string]time.Time{},
	}
	for _, name := range slices.Concat(s.There, o.Archived) {
		next.Gone[name] = o.Now.UTC().Truncate(time.Second)
	}
	maps.Copy(next.Gone, s.Gone)
	maps.DeleteFunc(next.Gone, func(name string, _ time.Time) bool { return there[name] })
	return next
}

func (s Seen) same(other Seen) bool {
	return s.KubeSystem == other.KubeSystem && slices.Equal(s.There, other.There) && maps.EqualFunc(s.Gone, other.Gone, time.Time.Equal)
}
