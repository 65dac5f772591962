package server

import (
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/query/access/accesstest"
	"github.com/indelible-ci/indelible/pkg/archive/query/apitest"
)

// Tokens of the rig's users.
const (
	adminToken  = apitest.Admin
	teamToken   = apitest.Member
	nobodyToken = apitest.Nobody
)

// rig is an API served over loopback, with an archive in a directory, an index in SQLite, and a
// fake cluster for reviews.
type rig struct {
	*testing.T
	*apitest.Client
	archive  *indextest.Archive
	index    index.Index
	cluster  *accesstest.Cluster
	server   *Server
	registry *prometheus.Registry
}

func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{T: t, archive: indextest.NewArchive(t), cluster: apitest.NewCluster(t), registry: prometheus.NewRegistry()}
	var err error
	if r.index, err = index.Open(t.Context(), "sqlite://"+t.TempDir()+"/index.db"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.index.Close() })
	r.serve(r.options(change...))
	return r
}

func (r *rig) serve(o Options) {
	r.Helper()
	var err error
	if r.server, err = New(r.Context(), o); err != nil {
		r.Fatal(err)
	}
	http := r.server.NewHTTP(nil)
	listening := httptest.NewUnstartedServer(http.Handler)
	listening.Config = http
	listening.Start()
	r.Cleanup(listening.Close)
	r.Client = apitest.NewClient(r.T, listening.Listener.Addr().String())
}

var discard = logr.Discard()
