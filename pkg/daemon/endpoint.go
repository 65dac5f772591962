package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Endpoint is a server with its listener.
type Endpoint struct {
	server   *http.Server
	listener net.Listener
}

// Listen opens a server's address, so that address errors show up before anything else starts. The
// server uses TLS if it has a TLSConfig, which must provide the certificate.
func Listen(ctx context.Context, server *http.Server, address string) (*Endpoint, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	return &Endpoint{server: server, listener: listener}, nil
}

// Address returns the address it listens on, with the port chosen for port 0.
func (e *Endpoint) Address() string { return e.listener.Addr().String() }

// Serve returns nil when the server was shut down or closed.
func (e *Endpoint) Serve() error {
	serve := e.server.Serve
	if e.server.TLSConfig != nil {
		serve = func(l net.Listener) error { return e.server.ServeTLS(l, "", "") }
	}
	if err := serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", e.Address(), err)
	}
	return nil
}

// Shutdown accepts no new requests and waits for those in flight until ctx ends.
func (e *Endpoint) Shutdown(ctx context.Context) error { return e.server.Shutdown(ctx) }

// Close stops it at once, whether it serves or not. It may be called repeatedly, and on nil.
func (e *Endpoint) Close() {
	if e != nil {
		_ = e.server.Close()
		_ = e.listener.Close()
	}
}

// NewRegistry returns a registry with the process's metrics.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// NewMetricsServer serves /metrics: ours and controller-runtime's.
func NewMetricsServer(ours prometheus.Gatherer) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("/metrics",
		promhttp.HandlerFor(prometheus.Gatherers{ours, ctrlmetrics.Registry}, promhttp.HandlerOpts{}))
	return plainServer(mux)
}

// NewHealthServer serves /healthz (the process runs) and /readyz (ready returns nil). A part of a
// program that ends ends the process, so /healthz has nothing else to check.
func NewHealthServer(ready func() error) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	return plainServer(mux)
}

// plainServer has timeouts for small responses, as kubelet and Prometheus request.
func plainServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second}
}
