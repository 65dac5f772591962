package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/config"
)

const (
	// reloadInterval is how often the configuration file is looked at. The kubelet takes up to a minute to bring it.
	reloadInterval = 5 * time.Second
	// Lease of the leader: who has lost sight of the API server for renewDeadline stops, before leaseDuration lets another
	// one begin. Two at work would cost time, and nothing else: see pkg/archive/archiver, commit.
	leaseDuration, renewDeadline, retryPeriod = 15 * time.Second, 10 * time.Second, 2 * time.Second
	// tryOpening is how long is waited between attempts to open store and index.
	tryOpening = 5 * time.Second
)

type runOptions struct {
	*common
	namespace      string
	identity       string
	class          string
	spool          string
	leaderElect    bool
	metricsAddress string
	healthAddress  string
}

func newRun(c *common) *cobra.Command {
	o := runOptions{common: c}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Archive the cluster's finished runs, until it is told to stop",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	identity := os.Getenv("POD_NAME")
	if identity == "" {
		identity, _ = os.Hostname()
	}
	flags := cmd.Flags()
	flags.StringVar(&o.namespace, "namespace", namespaceDefault(), "namespace of the Lease; default from POD_NAMESPACE")
	flags.StringVar(&o.identity, "identity", identity, "name of this replica in the Lease; default from POD_NAME")
	flags.StringVar(&o.class, "class", "", "archive the runs whose label "+archiver.ClassLabel+" has this value; empty: those without the label")
	flags.StringVar(&o.spool, "spool", "/var/cache/indelible", "folder for logs that are being followed")
	flags.BoolVar(&o.leaderElect, "leader-elect", true, "work only while holding the Lease indelible-archiver, as one of several replicas must")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":8080", "address of /metrics")
	flags.StringVar(&o.healthAddress, "health-address", ":8081", "address of /healthz and /readyz")
	return cmd
}

// daemon is the running command.
type daemon struct {
	runOptions
	log        logr.Logger
	registry   *prometheus.Registry
	metrics    *archiver.Metrics
	configured *config.Watcher
	rest       *rest.Config
	kube       kubernetes.Interface
	kubernetes string
	// state is what /readyz says: why the archiver is not at work yet, nil if it is, or stands by.
	state atomic.Pointer[error]
}

func (o *runOptions) run(ctx context.Context) error {
	log := o.log()
	ctrllog.SetLogger(log)
	klog.SetLogger(log)
	d := &daemon{runOptions: *o, log: log, registry: prometheus.NewRegistry()}
	d.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	d.metrics = archiver.NewMetrics(d.registry)
	d.notReady(errors.New("starting"))
	var err error
	if d.configured, err = config.NewWatcher(o.config, reloadInterval, config.NewMetrics(d.registry), log.WithName("config")); err != nil {
		return err
	}
	if d.rest, err = o.restConfig(); err != nil {
		return err
	}
	if d.kube, err = kubernetes.NewForConfig(d.rest); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	servers, err := d.listen(ctx)
	if err != nil {
		return err
	}
	log.Info("Starting", "version", version, "metrics", servers[0].address(), "health", servers[1].address())
	parts, ctx := errgroup.WithContext(ctx)
	for _, s := range servers {
		parts.Go(s.serve)
	}
	parts.Go(func() error { return d.configured.Start(ctx) })
	parts.Go(func() error {
		err := d.lead(ctx)
		for _, s := range servers {
			s.close()
		}
		if err == nil {
			err = context.Canceled // ends the other parts
		}
		return err
	})
	if err := parts.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (d *daemon) notReady(err error) { d.state.Store(&err) }

// lead works while this replica is the leader. Who has lost the lead ends the process: another one may be at work already.
func (d *daemon) lead(ctx context.Context) error {
	if !d.leaderElect {
		return d.work(ctx)
	}
	var failed error
	ended := make(chan struct{})
	leading, stop := context.WithCancel(ctx)
	defer stop()
	d.notReady(nil) // a replica that stands by is as it should be
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: d.namespace, Name: "indelible-archiver"}, Client: d.kube.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: d.identity},
		},
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				defer close(ended)
				if failed = d.work(ctx); failed != nil {
					stop()
				}
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	elector.Run(leading)
	if ctx.Err() != nil && !elector.IsLeader() {
		select {
		case <-ended:
		case <-time.After(retryPeriod): // it never led
		}
		return nil
	}
	<-ended
	if failed == nil && ctx.Err() == nil {
		failed = errors.New("the lead was lost")
	}
	return failed
}

// work archives until ctx ends, with each configuration in turn.
func (d *daemon) work(ctx context.Context) error {
	if served, err := d.kube.Discovery().ServerVersion(); err == nil {
		d.kubernetes = served.GitVersion
	}
	for ctx.Err() == nil {
		with := d.configured.Current().Archive
		current, stop := context.WithCancel(ctx)
		var watching errgroup.Group
		watching.Go(func() error {
			d.awaitChange(current, with)
			stop()
			return nil
		})
		err := d.workWith(current, with)
		stop()
		_ = watching.Wait()
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitChange returns when the archive's part of the configuration is another one, or ctx has ended.
func (d *daemon) awaitChange(ctx context.Context, from config.Archive) {
	look := time.NewTicker(reloadInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if !reflect.DeepEqual(d.configured.Current().Archive, from) {
				d.log.Info("The configuration of the archive has changed: starting anew")
				return
			}
		}
	}
}

// workWith archives with one configuration. A store or index that cannot be opened is tried again: until then all runs stay.
func (d *daemon) workWith(ctx context.Context, with config.Archive) error {
	a, err := openArchive(ctx, with, true)
	if err != nil {
		d.notReady(err)
		d.log.Error(err, "The archive cannot be opened: nothing is archived, and no run leaves the cluster; trying again", "after", tryOpening.String())
		select {
		case <-time.After(tryOpening):
		case <-ctx.Done():
		}
		return nil
	}
	defer a.close()
	worker, err := archiver.New(archiver.Options{
		Cluster: a.cluster, Class: d.class, Store: a.store, Index: a.index, Config: d.rest, Version: version, Kubernetes: d.kubernetes,
		Keep: with.Keep, Logs: archiver.LogMode(with.Logs), Spool: d.spool, Streams: with.Streams,
		Metrics: d.metrics, Now: time.Now, Log: d.log,
	})
	if err != nil {
		return err
	}
	controller := archiver.NewController(worker)
	d.notReady(nil)
	var parts errgroup.Group
	parts.Go(func() error { return controller.Run(ctx) })
	parts.Go(func() error { d.maintain(ctx, a); return nil })
	return parts.Wait()
}
