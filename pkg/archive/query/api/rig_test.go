package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
	"github.com/indelible-ci/indelible/pkg/archive/query/access/accesstest"
	"github.com/indelible-ci/indelible/pkg/archive/query/server"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const clusterName = layout.Cluster("prod")

// Tokens of the rig's users.
const (
	// admin may do everything everywhere.
	admin = "admin-token"
	// member may read in the namespaces team and other.
	member = "member-token"
	// robot may do everything in the namespace team.
	robot = "robot-token"
	// nobody may do nothing.
	nobody = "nobody-token"
)

// prefix is that of REST paths.
const prefix = "/apis/results.tekton.dev/v1alpha2/parents/"

// rig is the whole API on an archive in a directory with an index in SQLite, served over loopback. The API server that it asks about
// callers is a fake.
type rig struct {
	testing.TB
	archive *indextest.Archive
	index   index.Index
	cluster *accesstest.Cluster
	options Options
	server  *server.Server
	url     string
	conn    *grpc.ClientConn
	results pb.ResultsClient
	logs    pb.LogsClient
	stop    func() error
}

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{TB: t, archive: indextest.NewArchive(t), cluster: newCluster(t)}
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
		Cluster: clusterName, Store: r.archive, Index: r.index, Config: r.cluster.Config, Metrics: NewMetrics(prometheus.NewRegistry()), Log: logr.Discard(),
	}
	for _, c := range change {
		c(&r.options)
	}
	r.serve()
	return r
}

// inPostgres makes an empty database for a rig, where TestOnPostgres wants it.
var inPostgres func(t *testing.T) string

// TestOnPostgres is what the index has to do with, once more on Postgres.
func TestOnPostgres(t *testing.T) {
	inPostgres = indextest.Postgres(t)
	defer func() { inPostgres = nil }()
	for name, test := range map[string]func(*testing.T){
		"filters": TestFilters, "filters that are wrong": TestFiltersThatAreWrong, "order": TestOrder, "pages": TestPages, "summary": TestSummary,
		"projected Results": TestProjectedResults, "projected records": TestProjectedRecords, "lists over all namespaces": TestListsOverAllNamespaces,
		"filters leave no namespace": TestFiltersLeaveNoNamespace, "Results of tools": TestResultsOfTools, "records of tools": TestRecordsOfTools,
		"writes that are wrong": TestWritesThatAreWrong, "an overlay": TestOverlayOfAProjectedResult, "a Result with its records": TestDeleteResultWithItsRecords,
		"writers at once": TestWritersAtOnce, "the watcher": TestWhatTheWatcherStores, "logs of archived runs": TestLogsOfArchivedRuns,
		"logs over archived ones": TestLogsOverArchivedOnes, "external logs": TestExternalLogs, "an index that is away": TestIndexAway,
	} {
		t.Run(name, test)
	}
}

func newCluster(t testing.TB) *accesstest.Cluster {
	c := accesstest.New(t)
	c.User(admin, "admin")
	c.User(member, "member", "team")
	c.User(robot, "robot")
	c.User(nobody, "nobody")
	c.Allow(accesstest.Rule{Who: "admin", Group: access.Group}, accesstest.Rule{Who: "robot", Namespace: "team", Group: access.Group})
	for _, namespace := range []string{"team", "other"} {
		for _, verb := range []string{"get", "list"} {
			c.Allow(accesstest.Rule{Who: "team", Namespace: namespace, Group: access.Group, Verb: verb})
		}
	}
	return c
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
	address := (<-at).String()
	r.url = "http://" + address
	r.conn, err = grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	r.must(err)
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

// rest sends a request and returns the answer's code and text.
func (r *rig) rest(token, method, path, body string, headers ...string) (code int, text string, header http.Header) {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), method, r.url+path, strings.NewReader(body))
	r.must(err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	r.must(err)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	r.must(err)
	return response.StatusCode, string(content), response.Header
}

// tree decodes JSON.
func (r *rig) tree(text string) map[string]any {
	r.Helper()
	var tree map[string]any
	r.must(json.Unmarshal([]byte(text), &tree))
	return tree
}

// log reads a log over gRPC.
func (r *rig) log(token, name string) (string, error) {
	r.Helper()
	stream, err := r.logs.GetLog(r.as(token), &pb.GetLogRequest{Name: name})
	var text strings.Builder
	for err == nil {
		chunk, next := stream.Recv()
		if errors.Is(next, io.EOF) {
			return text.String(), nil
		}
		text.Write(chunk.GetData())
		err = next
	}
	return text.String(), err
}

// putLog writes a log over gRPC, in chunks.
func (r *rig) putLog(token, name string, chunks ...string) (*pb.LogSummary, error) {
	r.Helper()
	stream, err := r.logs.UpdateLog(r.as(token))
	r.must(err)
	for _, chunk := range chunks {
		if err := stream.Send(&pb.Log{Name: name, Data: []byte(chunk)}); err != nil {
			break // what is wrong is in the answer
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

// made is a run to be archived.
type made struct {
	kind, namespace, name, uid string
	// created is how many seconds after ten o'clock.
	created int
	labels  map[string]string
	// owner is the UID of the PipelineRun that made it.
	owner          string
	status, reason string
	// logs are the texts of its steps.
	logs map[string]string
	// annotations and more of the status.
	annotations map[string]string
	more        map[string]any
}

var ten = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func (m *made) resultID() string {
	if m.owner != "" {
		return m.owner
	}
	return m.uid
}

func (m *made) record() string {
	return m.namespace + "/results/" + m.resultID() + "/records/" + m.uid
}

func (m *made) log() string { return m.namespace + "/results/" + m.resultID() + "/logs/" + m.uid }

func (m *made) json() []byte {
	at := ten.Add(time.Duration(m.created) * time.Second)
	meta := map[string]any{"name": m.name, "namespace": m.namespace, "uid": m.uid, "creationTimestamp": at.Format(time.RFC3339)}
	if m.labels != nil {
		meta["labels"] = m.labels
	}
	if m.annotations != nil {
		meta["annotations"] = m.annotations
	}
	if m.owner != "" {
		meta["ownerReferences"] = []any{map[string]any{"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": "p", "uid": m.owner, "controller": true}}
	}
	state := map[string]any{
		"startTime": at.Add(time.Second).Format(time.RFC3339), "completionTime": at.Add(61 * time.Second).Format(time.RFC3339),
		"conditions": []any{map[string]any{"type": "Succeeded", "status": m.status, "reason": m.reason}},
	}
	for key, value := range m.more {
		state[key] = value
	}
	text, err := json.Marshal(map[string]any{"apiVersion": "tekton.dev/v1", "kind": m.kind, "metadata": meta, "spec": map[string]any{}, "status": state})
	if err != nil {
		panic(err)
	}
	return text
}

// add archives a run, as the archiver would.
func (r *rig) add(m made) *manifest.Commit {
	r.Helper()
	parsed, err := run.Parse(m.json())
	r.must(err)
	c := &manifest.Commit{
		Cluster: string(clusterName), Versions: manifest.Versions{Archiver: "test"}, CommittedAt: ten.Add(time.Hour),
		Run: manifest.Run{
			APIVersion: "tekton.dev/v1", Kind: m.kind, Namespace: m.namespace, Name: m.name, UID: m.uid, Created: parsed.CreationTimestamp.UTC(),
			Completed: parsed.Completed(), Status: m.status, Reason: m.reason, Result: run.ResultOf(&parsed.ObjectMeta),
			ResultAnnotations:  run.CustomMetadata(&parsed.ObjectMeta, run.ResultAnnotations),
			SummaryAnnotations: run.CustomMetadata(&parsed.ObjectMeta, run.RecordSummaryAnnotations),
		},
		Parts: []manifest.Part{manifest.InlinePart(manifest.Record, parsed.Record)},
	}
	for _, container := range slices.Sorted(keys(m.logs)) {
		part := manifest.Part{Type: manifest.Log, State: manifest.Complete, Container: container}
		if part.SetText([]byte(m.logs[container]), manifest.MaxTexts) == 0 {
			key, err := clusterName.Part(c.ID(), "testwriter", "log-0-"+container+".txt")
			r.must(err)
			raw, stored, err := manifest.Store(r.Context(), r.archive, key, strings.NewReader(m.logs[container]))
			r.must(err)
			part.Key, part.Content, part.Stored = key, &raw, &stored
		}
		c.Parts = append(c.Parts, part)
	}
	c.Parts = append(c.Parts, manifest.InlinePart(manifest.Events, []byte(`{"kind":"EventList","apiVersion":"v1","items":[]}`)))
	text, err := manifest.Encode(c)
	r.must(err)
	key, err := c.Key()
	r.must(err)
	r.must(r.archive.Create(r.Context(), key, bytes.NewReader(text)))
	r.must(r.index.Put(r.Context(), index.Row{Commit: c.Bare(), Record: parsed.Record}))
	return c
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// uid makes a UUID of a digit.
func uid(digit int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", digit) }

// The runs of all tests.
var (
	pipelineOK = made{
		kind: "PipelineRun", namespace: "team", name: "build-1", uid: uid(1), created: 0, status: "True", reason: "Completed",
		labels: map[string]string{"tekton.dev/pipeline": "build", "app": "shop"},
	}
	childOne = made{
		kind: "TaskRun", namespace: "team", name: "build-1-compile", uid: uid(2), created: 1, owner: uid(1), status: "True", reason: "Succeeded",
		labels: map[string]string{"tekton.dev/pipeline": "build", "tekton.dev/pipelineRun": "build-1", "tekton.dev/task": "compile"},
		logs:   map[string]string{"step-a": "one\n", "step-b": "two\n"}, more: map[string]any{"podName": "build-1-compile-pod"},
	}
	childTwo = made{
		kind: "TaskRun", namespace: "team", name: "build-1-test", uid: uid(3), created: 2, owner: uid(1), status: "True", reason: "Succeeded",
		labels: map[string]string{"tekton.dev/pipeline": "build", "tekton.dev/pipelineRun": "build-1", "tekton.dev/task": "test"},
		logs:   map[string]string{"step-a": "three"},
	}
	failed = made{
		kind: "TaskRun", namespace: "team", name: "lint-1", uid: uid(4), created: 100, status: "False", reason: "Failed",
		labels: map[string]string{"app": "cart"}, logs: map[string]string{"step-a": "four\n"},
	}
	cancelled = made{kind: "TaskRun", namespace: "team", name: "lint-2", uid: uid(5), created: 200, status: "False", reason: "Cancelled"}
	elsewhere = made{
		kind: "TaskRun", namespace: "other", name: "lint-1", uid: uid(6), created: 300, status: "True", reason: "Succeeded",
		labels: map[string]string{"app": "shop"}, logs: map[string]string{"step-a": "six\n"},
	}
	secret = made{
		kind: "TaskRun", namespace: "secret", name: "launch", uid: uid(7), created: 400, status: "True", reason: "Succeeded",
		labels: map[string]string{"app": "shop"}, logs: map[string]string{"step-a": "seven\n"},
	}
)

func newFullRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	r := newRig(t, change...)
	for _, m := range []made{pipelineOK, childOne, childTwo, failed, cancelled, elsewhere, secret} {
		r.add(m)
	}
	return r
}
