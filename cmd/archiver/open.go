package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/archive/store/cloud"
	"github.com/indelible-ci/indelible/pkg/config"
	"github.com/indelible-ci/indelible/pkg/daemon"
)

// archive is the configured archive, opened.
type archive struct {
	config  config.Archive
	cluster layout.Cluster
	store   store.Store
	index   index.Index
	// kubeSystem is the UID of the writing cluster. archivedIn returns the namespaces of runs that
	// this process has archived, until recordedIn is called with them.
	kubeSystem string
	archivedIn func() []string
	recordedIn func([]string)
	// sweptTo is where the sweep stopped; swept is when it was last finished.
	sweptTo string
	swept   time.Time
	// resultsKept is when retention looked at what tools wrote.
	resultsKept time.Time
}

// indexUse is how a command opens the index. Commands that do not need it work while it does not;
// those that read it never create one.
type indexUse func(ctx context.Context, rawURL string) (index.Index, error)

var (
	noIndex   indexUse
	readIndex indexUse = index.OpenReader
	makeIndex indexUse = index.Open
	// Runs are committed while the database does not answer, and stay in the cluster until it does.
	awaitIndex indexUse = index.OpenLater
)

// openArchive opens store and index.
func openArchive(ctx context.Context, c config.Archive, use indexUse) (*archive, error) {
	cluster, err := layout.ParseCluster(c.Cluster)
	if err != nil {
		return nil, fmt.Errorf("archive.cluster: %w", err)
	}
	a := &archive{config: c, cluster: cluster}
	if a.store, err = cloud.Open(ctx, c.Store); err != nil {
		return nil, fmt.Errorf("archive.store: %w", err)
	}
	if use == nil {
		return a, nil
	}
	if a.index, err = use(ctx, c.Index); err != nil {
		_ = a.store.Close()
		return nil, fmt.Errorf("archive.index: %w", err)
	}
	return a, nil
}

// openArchive opens an existing archive: only archiver run creates one.
func (c *common) openArchive(ctx context.Context, use indexUse) (*archive, error) {
	file, err := config.Load(c.Config)
	if err != nil {
		return nil, err
	}
	if u, err := url.Parse(file.Archive.Store); err == nil && u.Scheme == "file" {
		if _, err := os.Stat(u.Path); err != nil {
			return nil, fmt.Errorf(
				"archive.store: there is no archive: %w; is this the configuration of the archiver, and does it run on this machine?", err)
		}
	}
	return openArchive(ctx, file.Archive, use)
}

func (a *archive) close() {
	if a.index != nil {
		_ = a.index.Close()
	}
	_ = a.store.Close()
}

func (c *common) restConfig() (*rest.Config, error) {
	return daemon.Cluster(c.Kubeconfig, "indelible-archiver/"+version)
}
