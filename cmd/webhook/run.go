package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/certs"
	"github.com/indelible-ci/indelible/pkg/admission"
	"github.com/indelible-ci/indelible/pkg/admission/selfcheck"
	"github.com/indelible-ci/indelible/pkg/config"
	"github.com/indelible-ci/indelible/pkg/daemon"
)

// finish bounds how long requests under way have after the drain. The longest timeout of our webhooks is 10 s.
const finish = 15 * time.Second

// run is the whole command: it returns the exit code, once ctx has ended and requests under way are answered.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == preflightCommand {
		return runPreflight(ctx, args[1:], stdout, stderr)
	}
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case o.version:
		_, _ = fmt.Fprintln(stdout, version)
		return 0
	}
	log := daemon.NewLogger(stderr, o.logLevel)
	daemon.SetLibrariesLogger(log)
	w, err := newWebhook(ctx, o, log)
	if err == nil {
		err = w.serve(ctx)
	}
	if err != nil {
		log.Error(err, "The webhook ends")
		return 1
	}
	return 0
}

// certificates is where the serving certificate comes from.
type certificates interface {
	Run(ctx context.Context) error
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready tells why API servers cannot be answered, nil if they can.
	Ready() error
}

// webhook is the command's parts, put together and listening.
type webhook struct {
	log          logr.Logger
	drain        time.Duration
	configured   *config.Watcher
	certificates certificates
	cluster      *cluster
	selfcheck    *selfcheck.Checker // of what is ready or not
	leaks        *selfcheck.Checker
	ready        *readiness

	admission, metrics, health *daemon.Endpoint
}

// newWebhook puts the parts together. Everything that can be wrong with the installation fails here.
func newWebhook(ctx context.Context, o options, log logr.Logger) (*webhook, error) {
	registry := daemon.NewRegistry()
	configured, err := config.NewWatcher(o.config, config.ReloadInterval, config.NewMetrics(registry), log.WithName("config"))
	if err != nil {
		return nil, err
	}
	c, err := newCluster(o.kubeconfig)
	if err != nil {
		return nil, err
	}
	source, err := newCertificates(o, c, certs.NewMetrics(registry), log.WithName("certs"))
	if err != nil {
		return nil, err
	}
	callers, err := newCallers(o, source)
	if err != nil {
		return nil, err
	}
	check, leaks := newSelfChecks(o, c, configured, registry, log.WithName("selfcheck"))
	w := &webhook{
		log: log, drain: o.drain,
		configured: configured, certificates: source, cluster: c, selfcheck: check, leaks: leaks,
		ready: &readiness{certificate: source.Ready, guarded: check.Ready},
	}
	requests := admission.NewServer(handlers(configured, c, registry, source, callers, check.Ready, log))
	for _, e := range []struct {
		to      **daemon.Endpoint
		server  *http.Server
		address string
	}{
		{&w.admission, requests, fmt.Sprintf(":%d", o.webhookPort)},
		{&w.metrics, daemon.NewMetricsServer(registry), o.metricsAddress},
		{&w.health, daemon.NewHealthServer(w.ready.check), o.healthAddress},
	} {
		if *e.to, err = daemon.Listen(ctx, e.server, e.address); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

func newCertificates(o options, c *cluster, metrics *certs.Metrics, log logr.Logger) (certificates, error) {
	if o.certDir != "" {
		return certs.NewFiles(o.certDir, metrics)
	}
	var keyed []string
	if o.callerKeys {
		keyed = keyedPaths()
	}
	return certs.NewManaged(certs.ManagedOptions{
		Client:         c.client,
		Namespace:      o.namespace,
		Secret:         "indelible-webhook-certs",
		Service:        "indelible-webhook",
		Configurations: []string{"indelible-inject", "indelible-guard"},
		Optional:       []string{"indelible-protect"}, // without the archiver it is not installed
		Keyed:          keyed,
		Metrics:        metrics,
		Log:            log,
	})
}

// serve runs everything until ctx ends or a part fails. Then it stops in the order that loses no request: no longer
// ready, while endpoints still lead here; no new requests, while those under way are answered; the rest.
func (w *webhook) serve(ctx context.Context) error {
	w.log.Info("Starting", "version", version, "webhook", w.admission.Address(), "metrics", w.metrics.Address(), "health", w.health.Address())
	parts, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	background, stop := context.WithCancel(failed)
	defer stop()
	parts.Go(func() error { return w.configured.Start(background) })
	parts.Go(func() error { return w.certificates.Run(background) })
	parts.Go(func() error { return w.selfcheck.Run(background) })
	parts.Go(func() error { return w.leaks.Run(background) })
	for _, e := range w.endpoints() {
		parts.Go(e.Serve)
	}
	select {
	case <-ctx.Done():
		w.log.Info("Stopping", "drain", w.drain.String())
		w.ready.stopping.Store(true)
		select {
		case <-time.After(w.drain):
		case <-failed.Done():
		}
	case <-failed.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	err := w.admission.Shutdown(last)
	stop()
	w.close()
	if partial := parts.Wait(); partial != nil {
		return partial
	}
	if err != nil {
		return fmt.Errorf("requests were still under way after %s: %w", finish, err)
	}
	return nil
}

func (w *webhook) endpoints() []*daemon.Endpoint {
	return []*daemon.Endpoint{w.admission, w.metrics, w.health}
}

// close releases what newWebhook took.
func (w *webhook) close() {
	for _, e := range w.endpoints() {
		e.Close()
	}
	w.cluster.close()
}
