package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/indelible-ci/indelible/certs"
	"github.com/indelible-ci/indelible/pkg/admission"
	"github.com/indelible-ci/indelible/pkg/admission/selfcheck"
	"github.com/indelible-ci/indelible/pkg/config"
)

const (
	// finish bounds how long requests under way have after the drain. The longest timeout of our webhooks is 10 s.
	finish = 15 * time.Second
	// reloadInterval is how often the configuration file is looked at. The kubelet takes up to a minute to bring it.
	reloadInterval = 5 * time.Second
)

// run is the whole command: it returns the exit code, once ctx has ended and requests under way are answered.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
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
	log := newLogger(stderr, o.logLevel)
	setLibrariesLogger(log)
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

var librariesLogger sync.Once

// setLibrariesLogger is for what controller-runtime and client-go say. Theirs is one variable of the process, without a
// lock, that the client's goroutines read to their end: only the first run of a process may set it.
func setLibrariesLogger(log logr.Logger) {
	librariesLogger.Do(func() {
		ctrllog.SetLogger(log)
		klog.SetLogger(log)
	})
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
	selfcheck    *selfcheck.Checker
	ready        *readiness

	admission, metrics, health *endpoint
}

// newWebhook puts the parts together. Everything that can be wrong with the installation fails here.
func newWebhook(ctx context.Context, o options, log logr.Logger) (*webhook, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	configured, err := config.NewWatcher(o.config, reloadInterval, config.NewMetrics(registry), log.WithName("config"))
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
	check := newSelfCheck(o, c, registry, log.WithName("selfcheck"))
	w := &webhook{
		log: log, drain: o.drain,
		configured: configured, certificates: source, cluster: c, selfcheck: check,
		ready: &readiness{certificate: source.Ready, guarded: check.Ready},
	}
	requests := admission.NewServer(handlers(configured, c, registry, source, check.Ready, log))
	for _, e := range []struct {
		to      **endpoint
		server  *http.Server
		address string
		tls     bool
	}{
		{&w.admission, requests, fmt.Sprintf(":%d", o.webhookPort), true},
		{&w.metrics, newMetricsServer(registry), o.metricsAddress, false},
		{&w.health, newHealthServer(w.ready), o.healthAddress, false},
	} {
		if *e.to, err = listen(ctx, e.server, e.address, e.tls); err != nil {
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
	return certs.NewManaged(certs.ManagedOptions{
		Client:         c.client,
		Namespace:      o.namespace,
		Secret:         "indelible-webhook-certs",
		Service:        "indelible-webhook",
		Configurations: []string{"indelible-inject", "indelible-guard"},
		Optional:       []string{"indelible-protect"}, // without the archiver it is not installed
		Metrics:        metrics,
		Log:            log,
	})
}

// serve runs everything until ctx ends or a part fails. Then it stops in the order that loses no request: no longer
// ready, while endpoints still lead here; no new requests, while those under way are answered; the rest.
func (w *webhook) serve(ctx context.Context) error {
	w.log.Info("Starting", "version", version, "webhook", w.admission.address(), "metrics", w.metrics.address(), "health", w.health.address())
	parts, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	background, stop := context.WithCancel(failed)
	defer stop()
	parts.Go(func() error { return w.configured.Start(background) })
	parts.Go(func() error { return w.certificates.Run(background) })
	parts.Go(func() error { return w.selfcheck.Run(background) })
	for _, e := range w.endpoints() {
		parts.Go(e.serve)
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
	err := w.admission.server.Shutdown(last)
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

func (w *webhook) endpoints() []*endpoint { return []*endpoint{w.admission, w.metrics, w.health} }

// close releases what newWebhook took.
func (w *webhook) close() {
	for _, e := range w.endpoints() {
		e.close()
	}
	w.cluster.close()
}
