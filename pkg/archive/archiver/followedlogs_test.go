package archiver

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/podlog"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const (
	lineOne = "2026-11-20T10:42:11.000000000Z one\n"
	lineTwo = "2026-11-20T10:42:12.000000000Z two\n"
)

var keyOfLog = podlog.Key{Run: logsUID, Pod: "p", Container: "step-x"}

// oneStep is a cluster with a TaskRun of one step, whose log is served by log.
func oneStep(log http.HandlerFunc) *logsCluster {
	return &logsCluster{owner: logsUID, status: `"steps":[{"name":"x","container":"step-x","terminated":{}}]`,
		containers: `{"name":"step-x","state":{"terminated":{}}}`, log: log}
}

// restarted is an archiver as the next process, or the next configuration, makes it.
func restarted(t *testing.T, a *Archiver) *Archiver {
	t.Helper()
	a.Follower.Close()
	next, err := New(a.Options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(next.Follower.Close)
	next.Recent.EndList()
	return next
}

// occupy leaves a log of another run of the namespace in the spool. It takes no room on the disk.
func occupy(t *testing.T, a *Archiver, size int64) {
	t.Helper()
	file := filepath.Join(a.Spool, "team_another_0123456789abcdef0123456789abcdef.log")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
}

// textOf returns a log that is in its commit, empty if it is missing.
func textOf(p manifest.Part) string {
	if p.Text == nil {
		return ""
	}
	return *p.Text
}

// The store is away from Friday to Monday, and then the configuration is corrected, or the process
// restarted. The pod of a cancelled TaskRun is long gone by then, so that the spool has the only
// copy of its log.
func TestFollowedLogsOutliveALongWait(t *testing.T) {
	cluster := oneStep(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, lineOne) })
	to := testStore(t)
	a := cluster.archiver(t, Follow, to, time.Now)
	a.Follower.Follow("team", keyOfLog)
	a.Follower.Tail("team", keyOfLog).AwaitEnd(t.Context(), time.Minute)
	files, err := filepath.Glob(filepath.Join(a.Spool, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the spool has %s: %v", files, err)
	}
	friday := time.Now().Add(-72 * time.Hour)
	if err := os.Chtimes(files[0], friday, friday); err != nil {
		t.Fatal(err)
	}
	cluster.gone = true
	a = restarted(t, restarted(t, a))
	a.Follower.KeepOnly(slices.Values([]types.UID{"another", logsUID}))
	if _, err := a.Archive(t.Context(), logsRun, true); err != nil {
		t.Fatal(err)
	}
	if p := logOf(t, to); p.State != manifest.Truncated || textOf(p) != "one\n" {
		t.Errorf("the log is %s: %s, %q", p.State, p.Reason, textOf(p))
	}
	a.Follower.Close() // awaits removals
	if files, err := filepath.Glob(filepath.Join(a.Spool, "*")); err != nil || len(files) > 0 {
		t.Errorf("the spool still has %s: %v", files, err)
	}
}

// A log of which only the beginning fitted into the spool is archived as the kubelet has it. If the
// kubelet has nothing any more, the beginning is.
func TestLogsThatDidNotFitIntoTheSpool(t *testing.T) {
	const full = "too many logs waited to be archived when it was written"
	for name, tt := range map[string]struct {
		kubelet      http.HandlerFunc
		state        manifest.State
		reason, text string
	}{
		"the kubelet has all of it": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, lineOne+lineTwo)
		}, manifest.Complete, "", "one\ntwo\n"},
		"the kubelet has no log any more": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","code":400}`)
		}, manifest.Truncated, full, "one\n"},
		"the kubelet has a message for it": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "unable to retrieve container logs for containerd://abc")
		}, manifest.Truncated, full, "one\n"},
		"the pod goes in the moment before": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
		}, manifest.Truncated, full, "one\n"},
		"the kubelet is away, for longer than is waited for": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, manifest.Truncated, full, "one\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var streams atomic.Int64
			cluster := oneStep(func(w http.ResponseWriter, r *http.Request) {
				if streams.Add(1) == 1 {
					_, _ = io.WriteString(w, lineOne+lineTwo)
					return
				}
				tt.kubelet(w, r)
			})
			now, to := time.Now(), testStore(t)
			a := cluster.archiver(t, Follow, to, func() time.Time { return now })
			occupy(t, a, podlog.MaxSpool/2-10)
			a = restarted(t, a)
			a.Follower.Follow("team", keyOfLog)
			a.Follower.Tail("team", keyOfLog).AwaitEnd(t.Context(), time.Minute)
			if _, err := a.Archive(t.Context(), logsRun, true); err != nil { // the kubelet is away
				now = now.Add(logPatience + time.Second)
				if _, err := a.Archive(t.Context(), logsRun, true); err != nil {
					t.Fatal(err)
				}
			}
			if p := logOf(t, to); p.State != tt.state || p.Reason != tt.reason || textOf(p) != tt.text {
				t.Errorf("the log is %s: %s, %q", p.State, p.Reason, textOf(p))
			}
		})
	}
}

// The rest of a log for which the spool has no room is archived as well, if the kubelet has it.
func TestLogsWhoseRestDoesNotFitIntoTheSpool(t *testing.T) {
	var streams atomic.Int64
	again := make(chan struct{})
	cluster := oneStep(func(w http.ResponseWriter, r *http.Request) {
		switch streams.Add(1) {
		case 2:
			close(again)
			fallthrough
		case 1:
			_, _ = io.WriteString(w, lineOne)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			_, _ = io.WriteString(w, lineOne+lineTwo+lineTwo)
		}
	})
	to := testStore(t)
	a := cluster.archiver(t, Follow, to, time.Now)
	a.Follower.Follow("team", keyOfLog)
	<-again
	occupy(t, a, podlog.MaxSpool/2)
	a = restarted(t, a)
	if _, err := a.Archive(t.Context(), logsRun, true); err != nil {
		t.Fatal(err)
	}
	if p := logOf(t, to); p.State != manifest.Complete || textOf(p) != "one\ntwo\ntwo\n" {
		t.Errorf("the log is %s: %s, %q", p.State, p.Reason, textOf(p))
	}
}

// A run that is not archived, or was by somebody else, leaves nothing in the spool, whatever the
// watch has missed.
func TestLogsOfRunsThatAreNotArchived(t *testing.T) {
	record := `"results.tekton.dev/record":"team/results/r/records/` + testUID + `"`
	for name, tt := range map[string]struct {
		metadata string
		outcome  Outcome
	}{
		"opted out":        {`,"annotations":{"indelible.dev/archive":"disabled"}`, Ignored},
		"of another class": {`,"labels":{"indelible.dev/archiver":"other"}`, Ignored},
		"marked by its owner as archived": {`,"finalizers":[],"annotations":{"indelible.dev/archived":"2026-11-20T10:42:11Z",` +
			record + `}`, Archived},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{t: t, object: finished("TaskRun", tt.metadata, "", "")}
			server := httptest.NewServer(c)
			t.Cleanup(server.Close)
			spool := t.TempDir()
			file := filepath.Join(spool, "team_"+testUID+"_0123456789abcdef0123456789abcdef.log")
			if err := os.WriteFile(file, []byte(lineOne), 0o600); err != nil {
				t.Fatal(err)
			}
			a, err := New(Options{Cluster: layout.Cluster("default"), Store: testStore(t), Logs: Follow, Spool: spool, Streams: 1,
				Config: &rest.Config{Host: server.URL, QPS: -1}, Now: time.Now, Log: logr.Discard()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(a.Follower.Close)
			result, err := a.Archive(t.Context(), run.Reference{Kind: "TaskRun", Namespace: "team", Name: "build"}, true)
			if err != nil || result.Outcome != tt.outcome {
				t.Fatalf("%+v: %v", result, err)
			}
			if _, err := os.Stat(file); err == nil {
				t.Error("its log stays in the spool")
			}
		})
	}
}

// The last attempt for a deleted run archives what can be had: it waits for nothing, and does
// without a log that cannot be read.
func TestLastAttemptForADeletedRun(t *testing.T) {
	object := func(finalizer, container string) []byte {
		return fmt.Appendf(nil, `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"build","namespace":"team",
			"uid":%q,"resourceVersion":"1","creationTimestamp":"2026-11-20T10:42:11Z","finalizers":[%q]},
			"status":{"podName":"p","completionTime":%q,"steps":[{"name":"x","container":%q,"terminated":{}}],
			"conditions":[{"type":"Succeeded","status":"True"}]}}`, logsUID, finalizer, time.Now().UTC().Format(time.RFC3339),
			container)
	}
	for name, tt := range map[string]struct {
		object []byte
		// breaks makes the log one that cannot be read.
		breaks      func(*testing.T, *logsCluster, *Archiver)
		phase       string
		state       manifest.State
		reason, has string
	}{
		"Tekton Chains never signs it": {object("chains.tekton.dev/pipelinerun", "step-x"), nil, "settle", manifest.Complete, "", "one\n"},
		"a sidecar never ends": {object("", "sidecar-x"), func(_ *testing.T, c *logsCluster, a *Archiver) {
			c.containers = `{"name":"sidecar-x","state":{"running":{}}}`
			a.Follower.Close() // so that its log is not followed, but asked for
		}, "containers", manifest.Truncated, "the container still ran", "one\n"},
		"the kubelet does not answer": {object("", "step-x"), func(_ *testing.T, c *logsCluster, _ *Archiver) {
			c.log = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}, "logs", manifest.Missing, silentKubelet, ""},
		"the spool has lost the log": {object("", "step-x"), func(t *testing.T, c *logsCluster, a *Archiver) {
			t.Helper()
			a.Follower.Follow("team", keyOfLog)
			a.Follower.Tail("team", keyOfLog).AwaitEnd(t.Context(), time.Minute)
			c.gone = true
			files, err := filepath.Glob(filepath.Join(a.Spool, "*.log"))
			if err != nil || len(files) != 1 || os.Remove(files[0]) != nil {
				t.Fatalf("the spool has %s: %v", files, err)
			}
		}, "logs", manifest.Missing, unreadable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, to := oneStep(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, lineOne) }), testStore(t)
			a := c.archiver(t, Follow, to, time.Now)
			if tt.breaks != nil {
				tt.breaks(t, c, a)
			}
			if err := a.ArchiveDeleted(t.Context(), tt.object, false); PhaseOf(err) != tt.phase {
				t.Fatalf("the first attempt fails with %v", err)
			}
			if err := a.ArchiveDeleted(t.Context(), tt.object, true); err != nil {
				t.Fatal(err)
			}
			if p := logOf(t, to); p.State != tt.state || !strings.HasPrefix(p.Reason, tt.reason) || textOf(p) != tt.has {
				t.Errorf("the log is %s: %s, %q", p.State, p.Reason, textOf(p))
			}
		})
	}
}
