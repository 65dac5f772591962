// Package identity binds a prefix of the archive to one cluster. Otherwise two clusters with the
// same name on one bucket, or a recreated cluster, would take each other's runs for their own, and
// retention would delete what only the other cluster has (decision 13).
package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/numbered"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Identity is the cluster that writes to the archive. It is identified by the UID of its namespace
// kube-system, which always exists and cannot be deleted.
type Identity struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// KubeSystem is metadata.uid of the namespace kube-system.
	KubeSystem string `json:"kubeSystem"`
	// By is the program that wrote the identity, At the time.
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// ErrForeign means that the archive belongs to another cluster.
var ErrForeign = errors.New("it is the archive of another cluster")

// Bind binds an archive without identity to this cluster. It returns ErrForeign if the archive
// belongs to another cluster.
func Bind(ctx context.Context, s store.Store, cluster layout.Cluster, kubeSystem, by string, now time.Time) error {
	existing, n, err := Read(ctx, s, cluster)
	if err == nil && n == 0 {
		if err = write(ctx, s, cluster, 0, kubeSystem, by, now); errors.Is(err, numbered.ErrConflict) {
			existing, n, err = Read(ctx, s, cluster)
		}
	}
	if err != nil {
		return fmt.Errorf("find out whose archive %q is: %w", cluster, err)
	}
	if n > 0 && existing.KubeSystem != kubeSystem {
		return foreign(cluster, existing, kubeSystem)
	}
	return nil
}

func foreign(cluster layout.Cluster, owner Identity, kubeSystem string) error {
	return fmt.Errorf(
		"archive.cluster %q: %w: its kube-system has the UID %s, this one's has %s (since %s, by %s). "+
			"Give this cluster another name in archive.cluster; "+
			"or, if it takes the other one's place and that writes no more, run: archiver adopt --from=%s",
		cluster, ErrForeign, owner.KubeSystem, kubeSystem, owner.At.UTC().Format(time.RFC3339), owner.By,
		owner.KubeSystem)
}

// Check returns ErrForeign if the archive belongs to another cluster, and an error if it belongs to
// none.
func Check(ctx context.Context, s store.Store, cluster layout.Cluster, kubeSystem string) error {
	owner, n, err := Read(ctx, s, cluster)
	switch {
	case err != nil:
		return fmt.Errorf("find out whose archive %q is: %w", cluster, err)
	case n == 0:
		return fmt.Errorf("archive %q belongs to no cluster: no archiver has worked on it", cluster)
	case owner.KubeSystem != kubeSystem:
		return foreign(cluster, owner, kubeSystem)
	}
	return nil
}

// Adopt rebinds the archive of the cluster from to this cluster. from has to be given, so that an
// archive is not adopted by mistake.
func Adopt(
	ctx context.Context, s store.Store, cluster layout.Cluster, from, kubeSystem, by string, now time.Time,
) error {
	existing, n, err := Read(ctx, s, cluster)
	switch {
	case err != nil:
		return fmt.Errorf("find out whose archive %q is: %w", cluster, err)
	case n == 0:
		return fmt.Errorf("archive %q has no owner: there is nothing to adopt", cluster)
	case existing.KubeSystem != from:
		return fmt.Errorf("archive %q is not that of %s, but of %s", cluster, from, existing.KubeSystem)
	case from == kubeSystem:
		return nil
	}
	return write(ctx, s, cluster, n, kubeSystem, by, now)
}

// Read returns the identity and its number, 0 if there is none.
func Read(ctx context.Context, s store.Store, cluster layout.Cluster) (Identity, int, error) {
	var existing Identity
	n, err := numbered.Read(ctx, s, cluster.Identities(), &existing)
	if err == nil && n > 0 && existing.KubeSystem == "" {
		err = errors.New("its identity has no kubeSystem")
	}
	return existing, n, err
}

func write(
	ctx context.Context, s store.Store, cluster layout.Cluster, n int, kubeSystem, by string, now time.Time,
) error {
	return numbered.Write(ctx, s, cluster.Identities(), n, Identity{
		APIVersion: "archive.indelible.dev/v1", Kind: "Identity", KubeSystem: kubeSystem, By: by,
		At: now.UTC().Truncate(time.Second),
	})
}
