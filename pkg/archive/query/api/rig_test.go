package api

import (
	"context"
	"net"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/query/access/accesstest"
	"github.com/indelible-ci/indelible/pkg/archive/query/apitest"
	"github.com/indelible-ci/indelible/pkg/archive/query/server"
)

const clusterName = layout.Cluster("prod")

// Tokens of the rig's users.
const (
	admin  = apitest.Admin
	member = apitest.Member
	robot  = apitest.Robot
	nobody = apitest.Nobody
)

const prefix = apitest.Prefix

// rig is the whole API served over loopback, with an archive in a directory, an index in SQLite,
// and a fake API server for reviews.
type rig struct {
	testing.TB
	*apitest.Client
	archive *indextest.Archive
	index   index.Index
	cluster *accesstest.Cluster
	options Options
	server  *server.Server
	stop    func() error
}

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{TB: t, archive: indextest.NewArchive(t), cluster: apitest.NewCluster(t)}
	var err error
	url := "sqlite://" + t.TempDir() + "/index.db"
	if inPostgres != nil {
		url = inPostgres(t.(*testing.T))
	}
	if r.index, err = index.Open(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.index.Close() })
	r.must(r.index.SetComplete(t.Context(), string(clusterName), true))
	r.options = Options{
		Cluster: clusterName, Store: r.archive, Index: r.index, Config: r.cluster.Config,
		Metrics: NewMetrics(prometheus.NewRegistry()), Log: logr.Discard(),
	}
	for _, c := range change {
		c(&r.options)
	}
	r.serve()
	return r
}

// inPostgres creates an empty database for a rig, during TestOnPostgres.
var inPostgres func(t *testing.T) string

// TestOnPostgres repeats the tests that depend on the index with Postgres.
func TestOnPostgres(t *testing.T) {
	inPostgres = indextest.Postgres(t)
	defer func() { inPostgres = nil }()
	for name, test := range map[string]func(*testing.T){
		"filters": TestFilters, "filters that are wrong": TestFiltersThatAreWrong, "order": TestOrder,
		"pages": TestPages, "summary": TestSummary,
		"projected Results": TestProjectedResults, "projected records": TestProjectedRecords,
		"lists over all namespaces":  TestListsOverAllNamespaces,
		"filters leave no namespace": TestFiltersLeaveNoNamespace, "Results of tools": TestResultsOfTools,
		"records of tools":      TestRecordsOfTools,
		"writes that are wrong": TestWritesThatAreWrong, "an overlay": TestOverlayOfAProjectedResult,
		"a Result with its records": TestDeleteResultWithItsRecords,
		"writers at once":           TestWritersAtOnce, "the watcher": TestWhatTheWatcherStores,
		"logs of archived runs":   TestLogsOfArchivedRuns,
		"logs over archived ones": TestLogsOverArchivedOnes, "external logs": TestExternalLogs,
		"an index that is away": TestIndexAway,
	} {
		t.Run(name, test)
	}
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) serve() {
	r.Helper()
	var err error
	r.server, err = New(r.Context(), r.options)
	r.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	at, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- Serve(ctx, r.server, r.options, "127.0.0.1:0", "", func(a net.Addr) { at <- a }) }()
	r.stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	r.Cleanup(func() { _ = r.stop() })
	r.Client = apitest.NewClient(r.TB, (<-at).String())
}

// putLog writes a log over gRPC, in chunks.
func (r *rig) putLog(token, name string, chunks ...string) (*pb.LogSummary, error) {
	r.Helper()
	stream, err := r.Logs.UpdateLog(r.As(token))
	r.must(err)
	for _, chunk := range chunks {
		if err := stream.Send(&pb.Log{Name: name, Data: []byte(chunk)}); err != nil {
			break // the error is in the response
		}
	}
	return stream.CloseAndRecv()
}

func (r *rig) wantCode(what string, err error, want codes.Code) {
	r.Helper()
	if got := status.Code(err); got != want {
		r.Errorf("%s: %v, want %s", what, err, want)
	}
}
