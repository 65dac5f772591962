package main

import (
	"context"
	"net"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/query/api"
	"github.com/indelible-ci/indelible/pkg/config"
)

// serveAPI serves the archive that this process has open, until ctx ends. If that fails, it tries
// again; archiving goes on.
func (r *replica) serveAPI(ctx context.Context, a *archive, at config.API) {
	for at.Address != "" && ctx.Err() == nil {
		if err := r.serveAPIOnce(ctx, a, at); err != nil {
			r.log.Error(err, "The query API is not served: trying again", "after", tryOpening.String())
			select {
			case <-time.After(tryOpening):
			case <-ctx.Done():
			}
		}
	}
}

func (r *replica) serveAPIOnce(ctx context.Context, a *archive, at config.API) error {
	o := api.Options{Cluster: a.cluster, Store: a.store, Index: a.index, Config: r.rest, Metrics: r.apiMetrics,
		Log: r.log.WithName("api")}
	s, err := api.New(ctx, o)
	if err != nil {
		return err
	}
	return api.Serve(ctx, s, o, at.Address, at.Certificates,
		func(at net.Addr) { r.log.Info("Serving the query API", "address", at.String()) })
}
