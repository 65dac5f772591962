// Package api builds the query API from an archive, an index and a cluster, and serves it, for
// cmd/api and in small installations cmd/archiver.
package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/certs"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
	"github.com/indelible-ci/indelible/pkg/archive/query/engine"
	"github.com/indelible-ci/indelible/pkg/archive/query/live"
	"github.com/indelible-ci/indelible/pkg/archive/query/server"
	"github.com/indelible-ci/indelible/pkg/archive/query/tracing"
	"github.com/indelible-ci/indelible/pkg/archive/query/writer"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Options are the parts of an API.
type Options struct {
	Cluster layout.Cluster
	Store   store.Store
	Index   index.Index
	// Config is the client configuration, without a rate limit: package access limits requests.
	Config *rest.Config
	// ReadOnly rejects writes.
	ReadOnly bool
	// Leaving is how long a server continues after it is told to end, so that clients learn of it
	// before it rejects requests.
	Leaving time.Duration
	// Metrics come from NewMetrics, once per process.
	Metrics *Metrics
	Log     logr.Logger
}

// Metrics are those of the API and of its certificate.
type Metrics struct {
	server *server.Metrics
	certs  *certs.Metrics
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	return &Metrics{server.NewMetrics(r), certs.NewMetrics(r)}
}

// New returns the API. ctx is the program's.
func New(ctx context.Context, o Options) (*server.Server, error) {
	kube, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	running, err := live.New(o.Config)
	if err != nil {
		return nil, err
	}
	traced := tracing.Store(o.Store)
	reads := engine.New(engine.Options{Index: o.Index, Store: traced, Cluster: string(o.Cluster)})
	writes := &writer.Writer{Cluster: string(o.Cluster), Objects: object.New(o.Store, o.Cluster, time.Now),
		Index: o.Index, Engine: reads}
	with := server.Options{
		Engine: reads, Writer: writes, Overlays: writes, Store: traced, Live: running, Access: access.New(kube),
		Ready: ready(o.Index, o.Cluster), Metrics: o.Metrics.server, Log: o.Log,
	}
	if o.ReadOnly {
		with.Writer = nil
	}
	return server.New(ctx, with)
}

const (
	// readyFor is how long an answer about the index is valid, readyWithin how long it may take.
	readyFor, readyWithin = 5 * time.Second, 2 * time.Second
)

var errIncomplete = errors.New("the index does not have all of the archive yet")

// ready returns a function that checks that the index is complete: until then runs may be missing.
func ready(x index.Index, cluster layout.Cluster) func() error {
	var mu sync.Mutex
	var at time.Time
	var said error
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		if !at.IsZero() && time.Since(at) < readyFor {
			return said
		}
		ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
		defer cancel()
		complete, err := x.Complete(ctx, string(cluster))
		if err == nil && !complete {
			err = errIncomplete
		}
		at, said = time.Now(), err
		return err
	}
}

// Leaving is the value of Options.Leaving for a server behind a Service.
const Leaving = 3 * time.Second

// draining is how long requests in progress may take after the server takes no new ones.
const draining = 20 * time.Second

// Serve serves the API until ctx ends, with TLS if certificates names a directory, which is
// watched. listening is called with the address; it may be nil.
func Serve(
	ctx context.Context, s *server.Server, o Options, address, certificates string, listening func(net.Addr),
) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	http, files, err := newHTTP(s, o, certificates)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if listening != nil {
		listening(listener.Addr())
	}
	parts, ctx := errgroup.WithContext(ctx)
	if files != nil {
		parts.Go(func() error { return files.Run(ctx) })
	}
	parts.Go(func() error {
		if http.TLSConfig != nil {
			return closed(http.ServeTLS(listener, "", ""))
		}
		return closed(http.Serve(listener))
	})
	parts.Go(func() error {
		<-ctx.Done()
		s.Drain()
		time.Sleep(o.Leaving)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), draining)
		defer cancel()
		return s.Shutdown(end, http)
	})
	return parts.Wait()
}

func tlsConfig(files *certs.Files) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.GetCertificate}
}

func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving the API: %w", err)
}

func newHTTP(s *server.Server, o Options, certificates string) (*http.Server, *certs.Files, error) {
	if certificates == "" {
		return s.NewHTTP(nil), nil, nil
	}
	files, err := certs.NewFiles(certificates, o.Metrics.certs)
	if err != nil {
		return nil, nil, err
	}
	return s.NewHTTP(tlsConfig(files)), files, nil
}
