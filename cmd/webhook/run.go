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

	"github.com/indelible-ci/indelible/certs"
	"github.com/indelible-ci/indelible/pkg/admission"
	"github.com/indelible-ci/indelible/pkg/admission/selfcheck"
	"github.com/indelible-ci/indelible/pkg/config"
	"github.com/indelible-ci/indelible/pkg/daemon"
)

// run runs the command and returns the exit code, once ctx has ended and requests in flight are
// answered.
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

// certificates is the source of the serving certificate.
type certificates interface {
	Run(ctx context.Context) error
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready returns why API servers cannot be served, nil if they can.
	Ready() error
}

// webhook is the command's parts, connected and listening.
type webhook struct {
	log          logr.Logger
	drain        time.Duration
	configured   *config.Watcher
	certificates certificates
	cluster      *cluster
	selfcheck    *selfcheck.Checker // affects readiness
	leaks        *selfcheck.Checker
	ready        *readiness

	admission, metrics, health *daemon.Endpoint
}

// newWebhook connects the parts. Everything that may be wrong with the installation fails here.
func newWebhook(ctx context.Context, o options, log logr.Logger) (*webhook, error) {
	registry := daemon.NewRegistry()
	configured, err := config.NewWatcher(o.config, o.reload, config.NewMetrics(registry),
		log.WithName("config"))
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
		Optional:       []string{"indelible-protect"}, // installed with the archiver only
		Keyed:          keyed,
		Interval:       o.checkCerts,
		Metrics:        metrics,
		Log:            log,
	})
}
