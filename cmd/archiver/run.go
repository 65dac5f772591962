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
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/controller"
	"github.com/indelible-ci/indelible/pkg/archive/identity"
	"github.com/indelible-ci/indelible/pkg/archive/query/api"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/config"
	"github.com/indelible-ci/indelible/pkg/daemon"
	"github.com/indelible-ci/indelible/pkg/daemon/tracing"
)

const (
	// leaseDuration is the default of --lease-duration, and shortestLease the least: a Lease counts in
	// seconds.
	leaseDuration, shortestLease = 15 * time.Second, 5 * time.Second
	// tryOpening is the delay between attempts to open store and index.
	tryOpening = 5 * time.Second
)

type runOptions struct {
	*common
	namespace      string
	identity       string
	class          string
	spool          string
	leaderElect    bool
	leaseDuration  time.Duration
	reload         time.Duration
	metricsAddress string
	healthAddress  string
	// api is in the place of the configuration's, if it has an address.
	api config.API
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
	flags.StringVar(&o.namespace, "namespace", daemon.Namespace(), "namespace of the Lease; default from POD_NAMESPACE")
	flags.StringVar(&o.identity, "identity", identity, "name of this replica in the Lease; default from POD_NAME")
	flags.StringVar(&o.class, "class", "",
		"archive the runs whose label "+run.ClassLabel+" has this value; empty: those without the label")
	flags.StringVar(&o.spool, "spool", "/var/cache/indelible", "folder for logs that are being followed")
	flags.BoolVar(&o.leaderElect, "leader-elect", true,
		"work only while holding the Lease indelible-archiver, as one of several replicas must")
	flags.DurationVar(&o.leaseDuration, "lease-duration", leaseDuration,
		"how long after the leader's last sign of life another replica takes over, at least "+shortestLease.String())
	flags.DurationVar(&o.reload, "reload-interval", config.ReloadInterval, "how often to read the configuration file")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":8080", "address of /metrics")
	flags.StringVar(&o.healthAddress, "health-address", ":8081", "address of /healthz and /readyz")
	flags.StringVar(&o.api.Address, "api-address", "",
		"serve the query API on this address; empty: as the configuration says")
	flags.StringVar(&o.api.Certificates, "api-certificates", "",
		"folder with the query API's tls.crt and tls.key; empty: no TLS")
	return cmd
}

// replica is the running command. Of all replicas one at a time is the leader.
type replica struct {
	runOptions
	log        logr.Logger
	metrics    *archiver.Metrics
	apiMetrics *api.Metrics
	configured *config.Watcher
	rest       *rest.Config
	kube       kubernetes.Interface
	kubernetes string
	// deleted outlives each configuration.
	deleted controller.Deleted
	// state is what /readyz returns: why the archiver does not work yet, nil if it works or stands
	// by.
	state atomic.Pointer[error]
}

func (o *runOptions) run(ctx context.Context) error {
	err := errors.Join(daemon.AtLeast(time.Second, map[string]time.Duration{"reload-interval": o.reload}),
		daemon.AtLeast(shortestLease, map[string]time.Duration{"lease-duration": o.leaseDuration}))
	if err != nil {
		return &usageError{err}
	}
	log := o.log()
	daemon.SetLibrariesLogger(log)
	flush, err := tracing.Start(ctx, "indelible-archiver", version, log)
	if err != nil {
		return err
	}
	defer flush()
	registry := daemon.NewRegistry()
	r := &replica{runOptions: *o, log: log}
	r.metrics, r.apiMetrics = archiver.NewMetrics(registry), api.NewMetrics(registry)
	r.notReady(errors.New("starting"))
	if r.configured, err = config.NewWatcher(o.Config, o.reload, config.NewMetrics(registry),
		log.WithName("config")); err != nil {
		return err
	}
	if r.rest, err = o.restConfig(); err != nil {
		return err
	}
	if r.kube, err = kubernetes.NewForConfig(r.rest); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	metrics, err := daemon.Listen(ctx, daemon.NewMetricsServer(registry), o.metricsAddress)
	if err != nil {
		return err
	}
	defer metrics.Close()
	health, err := daemon.Listen(ctx, daemon.NewHealthServer(func() error { return *r.state.Load() }), o.healthAddress)
	if err != nil {
		return err
	}
	defer health.Close()
	log.Info("Starting", "version", version, "metrics", metrics.Address(), "health", health.Address())
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(metrics.Serve)
	parts.Go(health.Serve)
	parts.Go(func() error { return r.configured.Start(ctx) })
	parts.Go(func() error {
		err := r.lead(ctx)
		metrics.Close()
		health.Close()
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

func (r *replica) notReady(err error) { r.state.Store(&err) }

// lead works while this replica is the leader. Losing the lead ends the process, as another replica
// may be at work already.
func (r *replica) lead(ctx context.Context) error {
	if !r.leaderElect {
		return r.work(ctx)
	}
	var failed error
	ended := make(chan struct{})
	leading, stop := context.WithCancel(ctx)
	defer stop()
	r.notReady(nil) // a replica that stands by is as it should be
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: r.namespace, Name: "indelible-archiver"},
			Client:     r.kube.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: r.identity},
		},
		// One that cannot reach the API server for the second of these stops before the first lets
		// another start. Two at work would only waste time: one of them commits.
		LeaseDuration: r.leaseDuration, RenewDeadline: r.leaseDuration * 2 / 3, RetryPeriod: r.retryPeriod(),
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				defer close(ended)
				if failed = r.work(ctx); failed != nil {
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
		case <-time.After(r.retryPeriod()): // it never led
		}
		return nil
	}
	<-ended
	if failed == nil && ctx.Err() == nil {
		failed = errors.New("the lead was lost")
	}
	return failed
}

// retryPeriod is how often the Lease is renewed, or tried to be taken.
func (r *replica) retryPeriod() time.Duration { return r.leaseDuration * 2 / 15 }

// work archives until ctx ends, restarting with each changed configuration.
func (r *replica) work(ctx context.Context) error {
	if served, err := r.kube.Discovery().ServerVersion(); err == nil {
		r.kubernetes = served.GitVersion
	}
	ending, err := r.endOversize(ctx)
	if err != nil {
		return err
	}
	defer ending()
	for ctx.Err() == nil {
		with := r.configuration()
		current, stop := context.WithCancel(ctx)
		var watching errgroup.Group
		watching.Go(func() error {
			r.awaitChange(current, with)
			stop()
			return nil
		})
		err := r.workWith(current, with)
		stop()
		_ = watching.Wait()
		if err != nil {
			return err
		}
	}
	return nil
}

// configuration is what of the file the archiver heeds.
func (r *replica) configuration() configuration {
	c := r.configured.Current()
	with := configuration{c.Archive, c.API}
	if r.api.Address != "" {
		with.API = r.api
	}
	return with
}

type configuration struct {
	config.Archive
	config.API
}

// awaitChange returns when the archive's configuration has changed, or ctx has ended.
func (r *replica) awaitChange(ctx context.Context, from configuration) {
	look := time.NewTicker(r.reload)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if !reflect.DeepEqual(r.configuration(), from) {
				r.log.Info("The configuration of the archive has changed: starting anew")
				return
			}
		}
	}
}

// workWith archives with one configuration. If store or index cannot be opened, it returns after
// tryOpening to be called again; until then all runs stay.
func (r *replica) workWith(ctx context.Context, with configuration) error {
	a, err := r.open(ctx, with.Archive)
	if err != nil {
		r.notReady(err)
		r.log.Error(err,
			"The archive cannot be opened: nothing is archived, and no run leaves the cluster; trying again",
			"after", tryOpening.String())
		select {
		case <-time.After(tryOpening):
		case <-ctx.Done():
		}
		return nil
	}
	defer a.close()
	keep, err := keepOf(with.Keep)
	if err != nil {
		return err
	}
	events, stopEvents := r.recordEvents()
	defer stopEvents()
	worker, err := archiver.New(archiver.Options{
		Cluster: a.cluster, Class: r.class, Store: a.store, Index: a.index, Config: r.rest, Version: version,
		Kubernetes: r.kubernetes,
		Keep:       keep, Logs: archiver.LogMode(with.Logs), Spool: r.spool, Streams: with.Streams,
		Metrics: r.metrics, Events: events, Now: time.Now, Log: r.log,
	})
	if err != nil {
		return err
	}
	a.archivedIn, a.recordedIn = worker.Namespaces, worker.ForgetNamespaces
	controller, awaitsEvents := controller.New(worker), controller.ErrAwaitsEvents
	controller.Deleted = &r.deleted
	r.notReady(awaitsEvents)
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return controller.Run(ctx) })
	parts.Go(func() error { r.readyWith(ctx, controller.Working()); return nil })
	parts.Go(func() error { return r.maintain(ctx, a) })
	parts.Go(func() error { r.serveAPI(ctx, a, with.API); return nil })
	return parts.Wait()
}

// readyWith makes the replica ready when it archives runs.
func (r *replica) readyWith(ctx context.Context, working <-chan struct{}) {
	select {
	case <-working:
		r.notReady(nil)
	case <-ctx.Done():
	}
}

// open opens the archive, and fails if it is another cluster's.
func (r *replica) open(ctx context.Context, with config.Archive) (*archive, error) {
	a, err := openArchive(ctx, with, awaitIndex)
	if err != nil {
		return nil, err
	}
	if a.kubeSystem, err = kubeSystemOf(ctx, r.kube); err == nil {
		err = identity.Bind(ctx, a.store, a.cluster, a.kubeSystem, r.identity, time.Now())
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}
