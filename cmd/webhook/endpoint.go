package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// endpoint is a server with its listener.
type endpoint struct {
	server   *http.Server
	listener net.Listener
	tls      bool
}

func listen(ctx context.Context, server *http.Server, address string, tls bool) (*endpoint, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	return &endpoint{server: server, listener: listener, tls: tls}, nil
}

func (e *endpoint) address() string { return e.listener.Addr().String() }

// serve returns nil when the server was shut down or closed.
func (e *endpoint) serve() error {
	serve := e.server.Serve
	if e.tls {
		serve = func(l net.Listener) error { return e.server.ServeTLS(l, "", "") }
	}
	if err := serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", e.address(), err)
	}
	return nil
}

func (e *endpoint) close() {
	if e != nil {
		_ = e.server.Close()
		_ = e.listener.Close()
	}
}

// readiness is what /readyz says. The configuration needs no place in it: without one the process does not start.
type readiness struct {
	certificate func() error
	guarded     func() error // the self-check's
	stopping    atomic.Bool
}

func (r *readiness) check() error {
	if r.stopping.Load() {
		return errors.New("stopping")
	}
	return errors.Join(r.certificate(), r.guarded())
}

// newHealthServer answers /healthz, which says that the process runs, and /readyz, which says that API servers can be
// answered and that the grant is guarded. A part that ends ends the process, so there is nothing more for /healthz to look at.
func newHealthServer(ready *readiness) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready.check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	return plainServer(mux)
}

// newMetricsServer serves our metrics and those of controller-runtime.
func newMetricsServer(ours prometheus.Gatherer) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(prometheus.Gatherers{ours, ctrlmetrics.Registry}, promhttp.HandlerOpts{}))
	return plainServer(mux)
}

func plainServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
}
