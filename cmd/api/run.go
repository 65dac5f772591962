package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/identity"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/query/api"
	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/archive/store/cloud"
	"github.com/indelible-ci/indelible/pkg/config"
	"github.com/indelible-ci/indelible/pkg/daemon"
	"github.com/indelible-ci/indelible/pkg/daemon/tracing"
)

// tryOpening is the delay between attempts to open store and index.
const tryOpening = 5 * time.Second

// archive is the configured archive, opened.
type archive struct {
	cluster layout.Cluster
	store   store.Store
	index   index.Index
}

func (a *archive) close() { _ = errors.Join(a.index.Close(), a.store.Close()) }

func (o *options) run(ctx context.Context) error {
	log := daemon.NewLogger(o.stderr, o.LogLevel)
	daemon.SetLibrariesLogger(log)
	file, err := config.Load(o.Config)
	if err != nil {
		return err
	}
	cluster, err := daemon.Cluster(o.Kubeconfig, "indelible-api/"+version)
	if err != nil {
		return err
	}
	flush, err := tracing.Start(ctx, "indelible-api", version, log)
	if err != nil {
		return err
	}
	defer flush()
	registry := daemon.NewRegistry()
	metrics, err := daemon.Listen(ctx, daemon.NewMetricsServer(registry), o.metricsAddress)
	if err != nil {
		return err
	}
	defer metrics.Close()
	ready := &readiness{}
	health, err := daemon.Listen(ctx, daemon.NewHealthServer(ready.check), o.healthAddress)
	if err != nil {
		return err
	}
	defer health.Close()
	log.Info("Starting", "version", version, "metrics", metrics.Address(), "health", health.Address())
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(metrics.Serve)
	parts.Go(health.Serve)
	parts.Go(func() error {
		err := o.serve(ctx, file.Archive, cluster, api.NewMetrics(registry), ready, log)
		metrics.Close()
		health.Close()
		return err
	})
	return parts.Wait()
}

// serve opens the archive and serves it. It tries until that succeeds, or cannot succeed any more.
func (o *options) serve(ctx context.Context, with config.Archive, cluster *rest.Config, metrics *api.Metrics,
	ready *readiness, log logr.Logger) error {
	name, err := layout.ParseCluster(with.Cluster)
	if err != nil {
		return fmt.Errorf("archive.cluster: %w", err)
	}
	var a *archive
	for {
		if a, err = o.open(ctx, name, with, cluster); err == nil {
			break
		}
		if permanent(err) {
			return err
		}
		ready.not(err)
		log.Error(err, "The archive cannot be opened: trying again", "after", tryOpening.String())
		select {
		case <-time.After(tryOpening):
		case <-ctx.Done():
			return nil
		}
	}
	defer a.close()
	options := api.Options{
		Cluster: a.cluster, Store: a.store, Index: a.index, Config: cluster, ReadOnly: o.readOnly, Leaving: api.Leaving,
		Metrics: metrics, Log: log,
	}
	s, err := api.New(ctx, options)
	if err != nil {
		return err
	}
	ready.of(s)
	return api.Serve(ctx, s, options, o.address, o.certificates, func(at net.Addr) {
		log.Info("Serving", "api", at.String(), "tls", o.certificates != "")
	})
}

// permanent reports whether the same program with the same configuration will fail again.
func permanent(err error) bool {
	return errors.Is(err, identity.ErrForeign) || errors.Is(err, index.ErrVersion) || errors.Is(err, index.ErrURL)
}

// open opens the archive if it belongs to this cluster.
func (o *options) open(
	ctx context.Context, name layout.Cluster, with config.Archive, cluster *rest.Config,
) (*archive, error) {
	a := &archive{cluster: name}
	var err error
	if a.store, err = cloud.Open(ctx, with.Store); err != nil {
		return nil, fmt.Errorf("archive.store: %w", err)
	}
	if err := bind(ctx, a, cluster, o.identity); err != nil {
		return nil, errors.Join(err, a.store.Close())
	}
	if a.index, err = index.Open(ctx, with.Index); err != nil {
		return nil, errors.Join(fmt.Errorf("archive.index: %w", err), a.store.Close())
	}
	return a, nil
}

// bind checks that the archive belongs to this cluster, whose rules decide who may read its runs.
// It binds an archive that belongs to none yet.
func bind(ctx context.Context, a *archive, cluster *rest.Config, by string) error {
	kube, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	system, err := kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("find out which cluster this is: %w", err)
	}
	return identity.Bind(ctx, a.store, a.cluster, string(system.UID), by, time.Now())
}
