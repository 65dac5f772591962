//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/query/api"
	"github.com/indelible-ci/indelible/pkg/archive/query/apitest"
)

// serveAPI serves the query API on an archivist's archive, in the test's process. The cluster's own
// API server reviews the callers.
func serveAPI(t *testing.T, a *archivist) *apitest.Client {
	t.Helper()
	return apitest.NewClient(t, serveAPIWith(t, a, ""))
}

// serveAPIWith does so with TLS, if there is a folder of certificates, and returns the address.
func serveAPIWith(t *testing.T, a *archivist, certificates string) string {
	t.Helper()
	if err := a.index.SetComplete(t.Context(), "e2e", true); err != nil {
		t.Fatal(err)
	}
	o := api.Options{
		Cluster: "e2e", Store: a.store, Index: a.index, Config: cluster.Config,
		Metrics: api.NewMetrics(prometheus.NewRegistry()), Log: logr.Discard(),
	}
	s, err := api.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	at, ended := make(chan net.Addr, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- api.Serve(ctx, s, o, "127.0.0.1:0", certificates, func(a net.Addr) { at <- a }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-at:
		return a.String()
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return ""
}

// readers are service accounts: may, which has a Role of Tekton Results' kind in the namespace, and
// not, which has none.
const readers = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: may}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: not}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: history}
rules:
- {apiGroups: [results.tekton.dev], resources: [results, records, logs], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: history}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: history}
subjects:
- {kind: ServiceAccount, name: may}
`

func (p *place) token(serviceAccount string) string {
	p.t.Helper()
	token, err := cluster.BoundToken(p.ctx, p.namespace, serviceAccount, "")
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

// A run that the cluster has forgotten is read over gRPC and REST by whom the cluster's own rules
// let, and by nobody else.
func TestAPIOfADeletedRun(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	p.apply(readers)
	p.create(a.mine(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec: {taskSpec: {steps: [{name: a, image: IMAGE, script: "echo from the step"}]}}
`))
	c := a.commit(p, "TaskRun", "run")
	p.kubectl("delete", "taskrun", "run", "-n", p.namespace, "--timeout=2m")
	if _, err := cluster.TaskRun(p.ctx, p.namespace, "run"); !apierrors.IsNotFound(err) {
		t.Fatalf("it is still there: %v", err)
	}
	s := serveAPI(t, a)
	name := fmt.Sprintf("%s/results/%s/records/%s", p.namespace, c.Run.Result, c.Run.UID)
	t.Run("who may", func(t *testing.T) { wantServed(t, p, a, s, c, name, p.token("may")) })
	t.Run("who may not", func(t *testing.T) {
		wantNothingServed(t, p, s, name, p.token("not"), codes.PermissionDenied, http.StatusForbidden)
	})
	t.Run("who has no token", func(t *testing.T) {
		wantNothingServed(t, p, s, name, "forged", codes.Unauthenticated, http.StatusUnauthorized)
	})
}

func wantServed(t *testing.T, p *place, a *archivist, s *apitest.Client, c *manifest.Commit, name, token string) {
	ctx := s.As(token)
	record, err := s.Results.GetRecord(ctx, &pb.GetRecordRequest{Name: name})
	if want := a.content(p, c.Parts[0]); err != nil || string(record.GetData().GetValue()) != want ||
		record.GetData().GetType() != "tekton.dev/v1.TaskRun" {
		t.Errorf("record: %v, %s; the archive has %s", err, fingerprint(record.GetData().GetValue()),
			fingerprint([]byte(want)))
	}
	for _, parent := range []string{p.namespace + "/results/-", "-/results/-"} {
		list, err := s.Results.ListRecords(ctx, &pb.ListRecordsRequest{Parent: parent,
			Filter: `data_type == TASK_RUN && data.metadata.name == "run"`})
		if err != nil || len(list.GetRecords()) != 1 || list.GetRecords()[0].GetName() != name {
			t.Errorf("list of %s: %v, %v", parent, list, err)
		}
	}
	logName := strings.Replace(name, "/records/", "/logs/", 1)
	if log, err := s.ReadLog(token, logName); err != nil || log != "step-a :-\nfrom the step\n" {
		t.Errorf("log: %q, %v", log, err)
	}
	if code, text, _ := s.REST(token, http.MethodGet, apitest.Prefix+logName, ""); code != http.StatusOK ||
		!strings.Contains(text, "from the step\n") {
		t.Errorf("log over REST: %d %q", code, text)
	}
	if code, text, _ := s.REST(token, http.MethodGet, apitest.Prefix+name+"?fields=name,data.type",
		""); code != http.StatusOK || !strings.Contains(text, name) {
		t.Errorf("record over REST: %d %q", code, text)
	}
	if code, text, _ := s.REST(token, http.MethodGet, fmt.Sprintf("/external-logs/%s/run-pod/step-a", p.namespace),
		""); code != http.StatusOK || text != "from the step\n" {
		t.Errorf("the Dashboard's log: %d %q", code, text)
	}
	if _, err := s.Results.DeleteRecord(ctx,
		&pb.DeleteRecordRequest{Name: name}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("who may only read deletes: %v", err)
	}
}

func wantNothingServed(t *testing.T, p *place, s *apitest.Client, name, token string, code codes.Code, httpCode int) {
	ctx := s.As(token)
	other := strings.Replace(name, "/records/", "/records/no", 1)
	for _, record := range []string{name, other[:len(name)]} { // one that is there, and one that is not
		if _, err := s.Results.GetRecord(ctx, &pb.GetRecordRequest{Name: record}); status.Code(err) != code {
			t.Errorf("%s: %v", record, err)
		}
	}
	for _, parent := range []string{p.namespace + "/results/-", "-/results/-"} {
		if list, err := s.Results.ListRecords(ctx, &pb.ListRecordsRequest{Parent: parent}); status.Code(err) != code {
			t.Errorf("list of %s: %v, %v", parent, list, err)
		}
	}
	if log, err := s.ReadLog(token, strings.Replace(name, "/records/", "/logs/", 1)); status.Code(err) != code ||
		log != "" {
		t.Errorf("log: %q, %v", log, err)
	}
	if got, text, _ := s.REST(token, http.MethodGet, apitest.Prefix+name, ""); got != httpCode ||
		strings.Contains(text, "tekton.dev/v1") {
		t.Errorf("REST: %d %q", got, text)
	}
}

// The log of a run that still runs comes from the kubelet, by the run's name, and by its
// PipelineRun's.
func TestAPILogOfALiveRun(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	p.apply(readers)
	s := serveAPI(t, a)
	p.create(a.mine(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec: {taskSpec: {steps: [{name: a, image: IMAGE, script: "exec 2>/dev/null; trap 'exit 1' TERM; echo started; while :; do sleep 0.1; done"}]}}
`))
	waitForLog(p, p.running("run", "step-a"), "step-a", "started")
	tr, err := cluster.TaskRun(p.ctx, p.namespace, "run")
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s/results/%s/logs/%s", p.namespace, tr.UID, tr.UID)
	if log, err := s.ReadLog(p.token("may"), name); err != nil || log != "step-a :-\nstarted\n" {
		t.Errorf("%q, %v", log, err)
	}
	if log, err := s.ReadLog(p.token("not"), name); status.Code(err) != codes.PermissionDenied || log != "" {
		t.Errorf("who may not: %q, %v", log, err)
	}
}

// apply creates objects that harness.Create does not know.
func (p *place) apply(yaml string) {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.kubectl("create", "-n", p.namespace, "-f", file)
}

// The API that is installed answers who asks whether it is healthy, and nobody without a token.
func TestInstalledAPI(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const service = "/api/v1/namespaces/indelible-system/services/indelible-api:8080/proxy"
	p.eventually("a healthy API", func() (bool, error) {
		text, err := cluster.Kube.CoreV1().RESTClient().Get().AbsPath(service + "/healthz").DoRaw(p.ctx)
		return err == nil && strings.Contains(string(text), "SERVING") && !strings.Contains(string(text), "NOT"), nil
	})
	// The API server passes no token on.
	_, err := cluster.Kube.CoreV1().RESTClient().Get().AbsPath(service +
		"/apis/results.tekton.dev/v1alpha2/parents/-/results").DoRaw(p.ctx)
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("%v, want 401", err)
	}
}
