package retention

import (
	"cmp"
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

// A namespace that does not exist may never have existed: a rebuilt cluster has none of the old
// ones in its first minutes. So a namespace counts as deleted only if the same cluster had it
// before.

// maxGone is how many deleted namespaces are remembered: some 5 MB of the 16 MiB that a record may
// have (pkg/archive/numbered). Beyond that those that were deleted first are forgotten, and what is
// archived of them is kept by policies with deletedNamespaces.
const maxGone = 50_000

// Seen records a cluster's namespaces. It is stored in the archive.
type Seen struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// KubeSystem identifies the cluster (pkg/archive/identity).
	KubeSystem string `json:"kubeSystem"`
	// There are the namespaces that existed at the last check. Gone are those that existed before,
	// with the time at which they were first missed: the last maxGone of them.
	There []string             `json:"there"`
	Gone  map[string]time.Time `json:"gone,omitempty"`
}

// SeenOptions are options of DeletedNamespaces.
type SeenOptions struct {
	Store      store.Store
	Cluster    layout.Cluster
	KubeSystem string
	// There are the namespaces that exist. Archived are some that existed lately: those of archived
	// runs.
	There, Archived []string
	Now             time.Time
	// ReadOnly does not write Seen.
	ReadOnly bool
}

// DeletedNamespaces records the existing namespaces, and returns the deleted ones with the time
// since when they are missing.
func DeletedNamespaces(ctx context.Context, o SeenOptions) (map[string]time.Time, error) {
	if len(o.There) == 0 {
		return nil, errors.New("the cluster lists no namespaces, which cannot be true")
	}
	before := Seen{}
	n, err := numbered.Read(ctx, o.Store, o.Cluster.Namespaces(), &before)
	if err != nil {
		return nil, fmt.Errorf("record of namespaces: %w", err)
	}
	if before.KubeSystem != o.KubeSystem {
		before = Seen{} // of the cluster that this one has replaced
	}
	now := before.next(o)
	if !o.ReadOnly && !now.same(before) {
		if err := numbered.Write(ctx, o.Store, o.Cluster.Namespaces(), n, now); err != nil {
			return nil, fmt.Errorf("record of namespaces: %w", err)
		}
	}
	return now.Gone, nil
}

func (s Seen) next(o SeenOptions) Seen {
	exists := map[string]bool{}
	for _, name := range o.There {
		exists[name] = true
	}
	next := Seen{
		APIVersion: "archive.indelible.dev/v1", Kind: "Namespaces", KubeSystem: o.KubeSystem,
		There: slices.Sorted(maps.Keys(exists)), Gone: map[string]time.Time{},
	}
	for _, name := range slices.Concat(s.There, o.Archived) {
		next.Gone[name] = o.Now.UTC().Truncate(time.Second)
	}
	maps.Copy(next.Gone, s.Gone)
	maps.DeleteFunc(next.Gone, func(name string, _ time.Time) bool { return exists[name] })
	forgetOldest(next.Gone)
	return next
}

// forgetOldest leaves maxGone of gone.
func forgetOldest(gone map[string]time.Time) {
	if len(gone) <= maxGone {
		return
	}
	names := slices.SortedFunc(maps.Keys(gone), func(a, b string) int {
		return cmp.Or(gone[a].Compare(gone[b]), cmp.Compare(a, b))
	})
	for _, name := range names[:len(names)-maxGone] {
		delete(gone, name)
	}
}

func (s Seen) same(other Seen) bool {
	return s.KubeSystem == other.KubeSystem && slices.Equal(s.There, other.There) &&
		maps.EqualFunc(s.Gone, other.Gone, time.Time.Equal)
}
