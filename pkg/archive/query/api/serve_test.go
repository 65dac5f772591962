package api

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	oldreflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Reflection is public, in both versions of the protocol that tools use.
func TestReflection(t *testing.T) {
	r := newRig(t)
	want := []string{"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
		"grpc.reflection.v1alpha.ServerReflection",
		"tekton.results.v1alpha2.Logs", "tekton.results.v1alpha2.Results"}
	stream, err := reflectionpb.NewServerReflectionClient(r.Conn).ServerReflectionInfo(r.As(""))
	r.must(err)
	r.must(stream.Send(
		&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}))
	answer, err := stream.Recv()
	r.must(err)
	var got []string
	for _, service := range answer.GetListServicesResponse().GetService() {
		got = append(got, service.GetName())
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("services %q", got)
	}
	old, err := oldreflectionpb.NewServerReflectionClient(r.Conn).ServerReflectionInfo(r.As(""))
	r.must(err)
	list := &oldreflectionpb.ServerReflectionRequest_ListServices{}
	//nolint:staticcheck // tools still use it
	r.must(old.Send(&oldreflectionpb.ServerReflectionRequest{MessageRequest: list}))
	oldAnswer, err := old.Recv()
	//nolint:staticcheck // tools still use it
	if services := oldAnswer.GetListServicesResponse().GetService(); err != nil || len(services) != len(want) {
		t.Errorf("v1alpha: %v, %v", oldAnswer, err)
	}
}

func TestHealth(t *testing.T) {
	r := newRig(t)
	for _, service := range []string{"", "tekton.results.v1alpha2.Results", "tekton.results.v1alpha2.Logs"} {
		answer, err := healthpb.NewHealthClient(r.Conn).Check(r.As(""), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", service, answer, err)
		}
	}
	if code, text, _ := r.REST("", http.MethodGet, "/healthz", ""); code != 200 || !strings.Contains(text, "SERVING") {
		t.Errorf("%d %s", code, text)
	}
}

// An incomplete index is reported by health checks and by every response: what it lacks may exist.
func TestIncompleteIndex(t *testing.T) {
	r := newFullRig(t)
	r.must(r.index.SetComplete(t.Context(), string(clusterName), false))
	if code, text, _ := r.REST("", http.MethodGet, "/healthz", ""); code != 503 {
		t.Errorf("%d %s", code, text)
	}
	_, err := r.list(member, "team/results/-", `name == "none"`, "")
	r.wantCode("an empty list", err, codes.Unavailable)
	_, err = r.Results.GetRecord(r.As(member), &pb.GetRecordRequest{Name: "team/results/x/records/" + uid(99)})
	r.wantCode("a record that it does not have", err, codes.Unavailable)
}

// A database that does not answer is an error, never an empty response.
func TestIndexAway(t *testing.T) {
	r := newFullRig(t)
	r.must(r.index.Close())
	for name, call := range calls {
		err := call.do(r.As(admin), r, failed)
		if r.wantCode(name, err, codes.Unavailable); strings.Contains(err.Error(), "closed") {
			t.Errorf("%s tells what the database says: %v", name, err)
		}
	}
}

// awayStore is a bucket that does not answer.
type awayStore struct{ store.Store }

func (awayStore) Open(context.Context, string) (io.ReadCloser, error) {
	return nil, errors.New("dial tcp 10.0.0.1: secret bucket: connection refused")
}

func (awayStore) Create(context.Context, string, io.Reader) error {
	return errors.New("dial tcp 10.0.0.1: secret bucket: connection refused")
}

// A bucket that does not answer fails only what needs it, and its location is not revealed.
func TestBucketAway(t *testing.T) {
	r := newFullRig(t, func(o *Options) { o.Store = awayStore{o.Store} })
	if _, err := r.Results.GetRecord(r.As(member), &pb.GetRecordRequest{Name: failed.record()}); err != nil {
		t.Errorf("a record is in the index: %v", err)
	}
	_, log := r.ReadLog(member, failed.log())
	_, create := r.Results.CreateResult(r.As(robot), &pb.CreateResultRequest{Parent: "team",
		Result: &pb.Result{Name: "team/results/new"}})
	for what, err := range map[string]error{"log": log, "create": create} {
		if r.wantCode(what, err, codes.Unavailable); strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if list, err := r.Results.ListResults(r.As(robot), &pb.ListResultsRequest{Parent: "team",
		Filter: `uid == "new"`}); err != nil || len(list.GetResults()) != 0 {
		t.Errorf("what is not stored is listed: %v, %v", list, err)
	}
}

func TestLimits(t *testing.T) {
	r := newRig(t)
	r.createResult("team/results/tool")
	large := append(append([]byte(`"`), bytes.Repeat([]byte("x"), 7<<20)...), '"')
	_, err := r.Results.CreateRecord(r.As(robot), &pb.CreateRecordRequest{
		Parent: "team/results/tool", Record: &pb.Record{Name: "team/results/tool/records/one",
			Data: &pb.Any{Type: "t", Value: large}},
	})
	r.wantCode("a message of 7 MiB", err, codes.ResourceExhausted)
	if code, _, _ := r.REST(robot, http.MethodPost, prefix+"team/results/tool/records",
		`{"name": "`+strings.Repeat("x", 7<<20)+`"}`); code != 429 {
		t.Errorf("a body of 7 MiB: %d", code)
	}
}

// Requests in progress are completed when the server is told to end.
func TestShutdown(t *testing.T) {
	r := newFullRig(t)
	stream, err := r.Logs.UpdateLog(r.As(robot))
	r.must(err)
	r.must(stream.Send(&pb.Log{Name: failed.log(), Data: []byte("before ")}))
	// the stream has begun
	if _, err := r.Results.GetRecord(r.As(member), &pb.GetRecordRequest{Name: failed.record()}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.stop() }()
	for { // until it takes no new connections
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://")) //nolint:noctx // a test
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	r.must(stream.Send(&pb.Log{Name: failed.log(), Data: []byte("after")}))
	if summary, err := stream.CloseAndRecv(); err != nil || summary.GetBytesReceived() != 12 {
		t.Errorf("%v, %v", summary, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A directory of certificates enables TLS, for gRPC and REST on the same port.
func TestTLS(t *testing.T) {
	r := newFullRig(t)
	dir, pool := certificate(t)
	ctx, cancel := context.WithCancel(t.Context())
	at, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- Serve(ctx, r.server, r.options, "127.0.0.1:0", dir, func(a net.Addr) { at <- a }) }()
	address := (<-at).String()
	config := &tls.Config{RootCAs: pool, ServerName: "api", MinVersion: tls.VersionTLS12}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	r.must(err)
	if _, err := pb.NewResultsClient(conn).GetRecord(r.As(member),
		&pb.GetRecordRequest{Name: failed.record()}); err != nil {
		t.Errorf("gRPC: %v", err)
	}
	_ = conn.Close()
	transport := &http.Transport{TLSClientConfig: config}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+prefix+failed.record(),
		nil)
	r.must(err)
	request.Header.Set("Authorization", "Bearer "+member)
	response, err := (&http.Client{Transport: transport}).Do(request)
	r.must(err)
	if _ = response.Body.Close(); response.StatusCode != http.StatusOK {
		t.Errorf("REST: %s", response.Status)
	}
	transport.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := Serve(t.Context(), r.server, r.options, "127.0.0.1:0", t.TempDir(), nil); err == nil {
		t.Error("serves without the certificate that is wanted")
	}
}

// certificate writes a certificate for the name api into a directory.
func certificate(t *testing.T) (dir string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"api"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
		IsCA:     true, BasicConstraintsValid: true,
	}
	text, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir, pool = t.TempDir(), x509.NewCertPool()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: text})
	pool.AppendCertsFromPEM(certificate)
	for name, content := range map[string][]byte{"tls.crt": certificate,
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, pool
}

// Metrics count gRPC and REST, and no label has a value that a caller chooses; logs contain neither
// values of filters nor tokens.
func TestWhatIsObserved(t *testing.T) {
	registry := prometheus.NewRegistry()
	var said strings.Builder
	r := newFullRig(t, func(o *Options) {
		o.Metrics = NewMetrics(registry)
		o.Log = funcr.New(func(prefix, args string) { said.WriteString(prefix + args + "\n") }, funcr.Options{})
	})
	_, _ = r.list(member, "team/results/-", `data.metadata.name == "hunter2"`, "")
	_, _ = r.list("hunter2", "team/results/-", "", "")
	_ = r.restList(member, "team/results/-", `data.metadata.name == "hunter2"`, "")
	r.must(r.index.Close())
	_, _ = r.list(member, "team/results/-", `data.metadata.name == "hunter2" && data_type == TASK_RUN`, "")
	families, err := registry.Gather()
	r.must(err)
	counts := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "indelible_api_requests_total" {
				counts[metric.GetLabel()[1].GetValue()+" "+metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
			}
		}
	}
	want := map[string]float64{"ListRecords OK": 2, "Authenticate Unauthenticated": 1, "ListRecords Unavailable": 1}
	for key, n := range want {
		if counts[key] != n {
			t.Errorf("counted %v, want %v", counts, want)
			break
		}
	}
	if text := said.String(); strings.Contains(text, "hunter2") ||
		!strings.Contains(text, `data.metadata.name == ? && data_type == TASK_RUN`) {
		t.Errorf("logged: %s", text)
	}
}
