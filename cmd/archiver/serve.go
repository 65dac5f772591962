package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// endpoint is a server with its listener.
type endpoint struct {
	server   *http.Server
	listener net.Listener
}

// listen opens the addresses of /metrics and of /healthz and /readyz, in this order.
func (d *daemon) listen(ctx context.Context) ([]*endpoint, error) {
	metrics := http.NewServeMux()
	metrics.Handle("/metrics", promhttp.HandlerFor(prometheus.Gatherers{d.registry, ctrlmetrics.Registry}, promhttp.HandlerOpts{}))
	health := http.NewServeMux()
	health.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	health.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := *d.state.Load(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	var all []*endpoint
	for _, e := range []struct {
		address string
		handler http.Handler
	}{{d.metricsAddress, metrics}, {d.healthAddress, health}} {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", e.address)
		if err != nil {
			return nil, fmt.Errorf("listening on %s: %w", e.address, err)
		}
		all = append(all, &endpoint{server: &http.Server{Handler: e.handler, ReadHeaderTimeout: 10 * time.Second}, listener: listener})
	}
	return all, nil
}

func (e *endpoint) address() string { return e.listener.Addr().String() }

func (e *endpoint) close() { _ = e.server.Close() }

// serve returns nil when the server was closed.
func (e *endpoint) serve() error {
	if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", e.address(), err)
	}
	return nil
}
