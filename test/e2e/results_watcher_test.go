//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certutil "k8s.io/client-go/util/cert"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/query/apitest"
	"github.com/indelible-ci/indelible/test/harness"
)

// resultsWatcherVariable names the program of Tekton Results' watcher, built from its module by
// `make test-watcher`.
const resultsWatcherVariable = "INDELIBLE_RESULTS_WATCHER"

// resultsWatcherConfig is the watcher's account, with what Tekton Results' ClusterRole "readwrite"
// grants it, and its configuration, all by default.
const resultsWatcherConfig = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: watcher}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: readwrite}
rules:
- {apiGroups: [results.tekton.dev], resources: [results, records, logs], verbs: [create, update, get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readwrite}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: readwrite}
subjects:
- {kind: ServiceAccount, name: watcher}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: tekton-results-config-logging}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: tekton-results-config-observability}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: tekton-results-config-leader-election}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: tekton-results-config-results-retention-policy}
`

// watchedRun has a Task that succeeds, one with a result of 100,000 bytes, and one that fails.
const watchedRun = `
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    tasks:
    - name: one
      taskSpec: {steps: [{name: a, image: IMAGE, script: "echo from the first"}]}
    - name: large
      taskSpec:
        results: [{name: text}]
        steps: [{name: a, image: IMAGE, script: "echo from the second; head -c 100000 /dev/zero | tr '\\0' x > $(results.text.path)"}]
    - name: fails
      runAfter: [one, large]
      taskSpec: {steps: [{name: a, image: IMAGE, script: "echo from the third; exit 3"}]}
`

// TestTektonResultsWatcher: Tekton Results' own watcher, pointed at our API, stores runs, logs and
// events as it does at its own, without an error.
func TestTektonResultsWatcher(t *testing.T) {
	t.Parallel()
	binary := os.Getenv(resultsWatcherVariable)
	if binary == "" {
		t.Skip(resultsWatcherVariable + " is not set: make test-watcher")
	}
	p, a := newLongPlace(t, 5*time.Minute), newArchivist(t, directory(t), archiver.Follow)
	a.stop() // the runs are the watcher's alone
	p.apply(resultsWatcherConfig)
	certificates, ca := servingCertificate(t)
	address := serveAPIWith(t, a, certificates)
	s := apitest.NewTLSClient(t, address, ca)
	w := startResultsWatcher(p, binary, address, ca)
	p.create(a.mine(watchedRun))
	if _, err := cluster.WaitPipelineRun(p.ctx, p.namespace, "run", harness.PipelineRunDone); err != nil {
		t.Fatal(err)
	}
	p.wantWatched(s, "taskruns/run-one", "tekton.dev/v1.TaskRun", "from the first")
	p.wantWatched(s, "taskruns/run-large", "tekton.dev/v1.TaskRun", "from the second")
	p.wantWatched(s, "taskruns/run-fails", "tekton.dev/v1.TaskRun", "from the third")
	result := p.wantWatched(s, "pipelineruns/run", "tekton.dev/v1.PipelineRun",
		"[one : a] from the first", "[large : a] from the second", "[fails : a] from the third")
	token := p.token("watcher")
	list, err := s.Results.ListRecords(s.As(token), &pb.ListRecordsRequest{Parent: result, PageSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for _, r := range list.GetRecords() {
		types[r.GetData().GetType()]++
	}
	want := map[string]int{"tekton.dev/v1.TaskRun": 3, "tekton.dev/v1.PipelineRun": 1,
		"results.tekton.dev/v1alpha3.Log": 4, "results.tekton.dev/v1.EventList": 4}
	if diff := cmp.Diff(want, types); diff != "" {
		t.Errorf("records: %s", diff)
	}
	stored, err := s.Results.GetResult(s.As(token), &pb.GetResultRequest{Name: result})
	summary := stored.GetSummary()
	if err != nil || summary.GetStatus() != pb.RecordSummary_FAILURE || summary.GetEndTime() == nil {
		t.Errorf("result: %v, %v; want the summary of a PipelineRun that failed", stored, err)
	}
	for _, line := range w.errors() {
		t.Errorf("the watcher says: %s", line)
	}
	wantBothStored(t, p, a, s, result, list)
}

// wantBothStored has the archiver archive the runs that the watcher has stored, and watches: what
// the watcher has stored stays, but it is told that an archived run is immutable, and logs that.
func wantBothStored(
	t *testing.T, p *place, a *archivist, s *apitest.Client, result string, before *pb.ListRecordsResponse,
) {
	a.start(t, archiver.Follow)
	c := a.commit(p, "PipelineRun", "run")
	if got := p.namespace + "/results/" + c.Run.Result; got != result {
		t.Errorf("the archiver puts the run into %s, the watcher into %s", got, result)
	}
	p.kubectl("delete", "pipelinerun", "run", "-n", p.namespace, "--timeout=2m")
	token := p.token("watcher")
	names := map[string]bool{}
	after, err := s.Results.ListRecords(s.As(token), &pb.ListRecordsRequest{Parent: result, PageSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range after.GetRecords() {
		if names[r.GetName()] {
			t.Errorf("%s is in the list twice", r.GetName())
		}
		names[r.GetName()] = true
	}
	for _, r := range before.GetRecords() {
		if !names[r.GetName()] {
			t.Errorf("%s of %s is in the list no longer", r.GetName(), r.GetData().GetType())
		}
	}
}

// wantWatched waits until a run has been stored with its log and its events, as its annotations
// say, compares all that with the cluster, and returns the name of its Result.
func (p *place) wantWatched(s *apitest.Client, run, recordType string, log ...string) string {
	p.t.Helper()
	token := p.token("watcher")
	var annotations map[string]string
	p.eventually(run+" is stored", func() (bool, error) {
		var object metav1.PartialObjectMetadata
		text, err := cluster.Kubectl(p.ctx, "get", run, "-n", p.namespace, "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(text), &object)
		}
		annotations = object.Annotations
		return annotations["results.tekton.dev/record"] != "" && annotations["results.tekton.dev/log"] != "" &&
			annotations["results.tekton.dev/eventlist"] != "", err
	})
	record, err := s.Results.GetRecord(s.As(token), &pb.GetRecordRequest{Name: annotations["results.tekton.dev/record"]})
	if err != nil {
		p.t.Fatal(err)
	}
	var stored, live struct {
		Metadata metav1.ObjectMeta
		Spec     any
		Status   any
	}
	text := p.kubectl("get", run, "-n", p.namespace, "-o", "json")
	err = errors.Join(json.Unmarshal(record.GetData().GetValue(), &stored), json.Unmarshal([]byte(text), &live))
	if err != nil {
		p.t.Fatal(err)
	}
	if record.GetData().GetType() != recordType || stored.Metadata.UID != live.Metadata.UID {
		p.t.Errorf("%s: a %s with UID %s, want %s", run, record.GetData().GetType(), stored.Metadata.UID, live.Metadata.UID)
	}
	if diff := cmp.Diff(live.Status, stored.Status); diff != "" {
		p.t.Errorf("the status of %s: %s", run, diff)
	}
	p.eventually("the log of "+run, func() (bool, error) {
		got, err := s.ReadLog(token, annotations["results.tekton.dev/log"])
		for _, want := range log {
			if !strings.Contains(got, want) {
				return false, nil
			}
		}
		return err == nil, nil
	})
	events, err := s.Results.GetRecord(s.As(token), &pb.GetRecordRequest{Name: annotations["results.tekton.dev/eventlist"]})
	var all corev1.EventList
	if err == nil {
		err = json.Unmarshal(events.GetData().GetValue(), &all)
	}
	if err != nil || len(all.Items) == 0 {
		p.t.Errorf("%d events of %s: %v", len(all.Items), run, err)
	}
	return annotations["results.tekton.dev/result"]
}

// servingCertificate returns a folder with a certificate for 127.0.0.1, and the file of its
// authority.
func servingCertificate(t *testing.T) (folder, authority string) {
	t.Helper()
	certificate, key, err := certutil.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	folder = t.TempDir()
	authority = filepath.Join(folder, "tls.crt")
	if err := errors.Join(os.WriteFile(authority, certificate, 0o600),
		os.WriteFile(filepath.Join(folder, "tls.key"), key, 0o600)); err != nil {
		t.Fatal(err)
	}
	return folder, authority
}

// resultsWatcher is the process of Tekton Results' watcher.
type resultsWatcher struct {
	log  string
	stop func()
}

func startResultsWatcher(p *place, binary, address, authority string) *resultsWatcher {
	p.t.Helper()
	w := &resultsWatcher{log: filepath.Join(p.t.TempDir(), "watcher.log")}
	log, err := os.Create(w.log)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.CommandContext(p.ctx, binary, "-api_addr="+address, "-auth_mode=token", "-token="+p.token("watcher"), "-namespace="+p.namespace,
		"-logs_api", "-store_event", "-disable-ha",
		"-forward_buffer=1s") // how long it keeps what is deleted, for other programs
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+authority, "SYSTEM_NAMESPACE="+p.namespace, "METRICS_DOMAIN=tekton.dev/results",
		"METRICS_PROMETHEUS_PORT=0", "CONFIG_LOGGING_NAME=tekton-results-config-logging",
		"CONFIG_OBSERVABILITY_NAME=tekton-results-config-observability", "CONFIG_LEADERELECTION_NAME=tekton-results-config-leader-election")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	w.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	p.t.Cleanup(func() {
		w.stop()
		if p.t.Failed() {
			text, _ := os.ReadFile(w.log)
			p.t.Logf("the watcher: %s", text[max(0, len(text)-20_000):])
		}
	})
	return w
}

// errors are the lines of the log at level error.
func (w *resultsWatcher) errors() (lines []string) {
	text, err := os.ReadFile(w.log)
	if err != nil {
		return []string{err.Error()}
	}
	for line := range strings.Lines(string(text)) {
		var said struct{ Level, Severity string }
		if json.Unmarshal([]byte(line), &said) == nil && strings.EqualFold(said.Level+said.Severity, "error") {
			lines = append(lines, line)
		}
	}
	return lines
}
