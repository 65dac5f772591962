package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
	"github.com/indelible-ci/indelible/pkg/archive/query/access/accesstest"
)

// Tokens of the rig's users.
const (
	// adminToken may do everything everywhere.
	adminToken = "admin-token"
	// teamToken may read in the namespaces team and other.
	teamToken = "team-token"
	// nobodyToken may do nothing.
	nobodyToken = "nobody-token"
)

// rig is an API on an archive in a directory with an index in SQLite, served over loopback, with a fake for the cluster's reviews.
type rig struct {
	*testing.T
	archive  *indextest.Archive
	index    index.Index
	cluster  *accesstest.Cluster
	server   *Server
	registry *prometheus.Registry
	url      string
	conn     *grpc.ClientConn
	results  pb.ResultsClient
	logs     pb.LogsClient
}

func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{T: t, archive: indextest.NewArchive(t), cluster: accesstest.New(t), registry: prometheus.NewRegistry()}
	var err error
	if r.index, err = index.Open(t.Context(), "sqlite://"+t.TempDir()+"/index.db"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.index.Close() })
	r.cluster.User(adminToken, "admin")
	r.cluster.User(teamToken, "member", "team")
	r.cluster.User(nobodyToken, "nobody")
	r.cluster.Allow(accesstest.Rule{Who: "admin", Group: access.Group})
	for _, namespace := range []string{"team", "other"} {
		for _, verb := range []string{"get", "list"} {
			r.cluster.Allow(accesstest.Rule{Who: "team", Namespace: namespace, Group: access.Group, Verb: verb})
		}
	}
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
	r.url = listening.URL
	r.conn, err = grpc.NewClient(listening.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = r.conn.Close() })
	r.results, r.logs = pb.NewResultsClient(r.conn), pb.NewLogsClient(r.conn)
}

// as is the context of a caller's requests.
func (r *rig) as(token string, more ...string) context.Context {
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	r.Cleanup(cancel)
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return metadata.AppendToOutgoingContext(ctx, more...)
}

// rest sends a request, with a body if it has one, and returns the answer's code and text.
func (r *rig) rest(token, method, path string, body string, headers ...string) (code int, text string, header http.Header) {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), method, r.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		r.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		r.Fatal(err)
	}
	return response.StatusCode, string(content), response.Header
}

// tree decodes JSON.
func (r *rig) tree(text string) map[string]any {
	r.Helper()
	var tree map[string]any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		r.Fatalf("%q: %v", text, err)
	}
	return tree
}

var discard = logr.Discard()
