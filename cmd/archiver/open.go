package main

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/archive/store/cloud"
	"github.com/indelible-ci/indelible/pkg/config"
	"github.com/indelible-ci/indelible/pkg/daemon"
)

// archive is what the configuration names, opened.
type archive struct {
	config  config.Archive
	cluster layout.Cluster
	store   store.Store
	index   index.Index
	// kubeSystem is the cluster that writes. archivedIn are namespaces of runs that were archived lately.
	kubeSystem string
	archivedIn func() []string
}

// openArchive opens store and index. The index is left out for commands that can do without, so that they work while it does not.
func openArchive(ctx context.Context, c config.Archive, withIndex bool) (*archive, error) {
	cluster, err := layout.ParseCluster(c.Cluster)
	if err != nil {
		return nil, fmt.Errorf("archive.cluster: %w", err)
	}
	a := &archive{config: c, cluster: cluster}
	if a.store, err = cloud.Open(ctx, c.Store); err != nil {
		return nil, fmt.Errorf("archive.store: %w", err)
	}
	if !withIndex {
		return a, nil
	}
	if a.index, err = index.Open(ctx, c.Index); err != nil {
		_ = a.store.Close()
		return nil, fmt.Errorf("archive.index: %w", err)
	}
	return a, nil
}

func (c *common) openArchive(ctx context.Context, withIndex bool) (*archive, error) {
	file, err := config.Load(c.config)
	if err != nil {
		return nil, err
	}
	return openArchive(ctx, file.Archive, withIndex)
}

func (a *archive) close() {
	if a.index != nil {
		_ = a.index.Close()
	}
	_ = a.store.Close()
}

func (c *common) restConfig() (*rest.Config, error) {
	return daemon.Cluster(c.kubeconfig, "indelible-archiver/"+version)
}
