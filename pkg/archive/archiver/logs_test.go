package archiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/podlog"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const logsUID = "6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11"

var logsRun = run.Reference{Kind: "TaskRun", Namespace: "team", Name: "build"}

// logsCluster is a cluster with one TaskRun, whose status names the pod p.
type logsCluster struct {
	// status of the TaskRun, without podName and conditions; running: it is not finished.
	status  string
	running bool
	// owner is the UID that controls the pod, empty if none does; containers are its statuses. gone:
	// there is no pod.
	owner, containers string
	gone              bool
	log               http.HandlerFunc
}

func (c *logsCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case c.gone && strings.Contains(r.URL.Path, "/pods/"):
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	case strings.HasSuffix(r.URL.Path, "/log"):
		w.Header().Set("Content-Type", "text/plain")
		c.log(w, r)
	case strings.HasSuffix(r.URL.Path, "/pods/p"):
		owner := ""
		if c.owner != "" {
			owner = `"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"TaskRun","name":"build","uid":"` + c.owner +
				`","controller":true}],`
		}
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Pod","metadata":{%s"name":"p","namespace":"team","uid":"of-the-pod"},
			"status":{"containerStatuses":[%s]}}`, owner, c.containers)
	default:
		succeeded := "True"
		if c.running {
			succeeded = "Unknown"
		}
		fmt.Fprintf(w, `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"build","namespace":"team",
			"uid":%q,"resourceVersion":"1","creationTimestamp":"2026-11-20T10:42:11Z","finalizers":[%q]},
			"status":{"podName":"p",%s,"conditions":[{"type":"Succeeded","status":%q}]}}`, logsUID, run.Finalizer,
			c.status, succeeded)
	}
}

func (c *logsCluster) archiver(t *testing.T, logs LogMode, to store.Store, now func() time.Time) *Archiver {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	a, err := New(Options{Cluster: layout.Cluster("default"), Store: to, Config: &rest.Config{Host: server.URL, QPS: -1},
		Logs: logs, Spool: t.TempDir(), Streams: 20, Now: now, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	if a.Follower != nil {
		t.Cleanup(a.Follower.Close)
	}
	a.Recent.EndList()
	return a
}

func testStore(t *testing.T) store.Store {
	t.Helper()
	dir, err := store.NewDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// logOf returns the log part of the only run in the archive.
func logOf(t *testing.T, from store.Store) manifest.Part {
	t.Helper()
	for info, err := range from.List(t.Context(), "clusters/default/commits/", "") {
		if err != nil {
			t.Fatal(err)
		}
		c, err := manifest.Read(t.Context(), from, info.Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.Parts {
			if p.Type == manifest.Log {
				return p
			}
		}
	}
	t.Fatal("no log in the archive")
	return manifest.Part{}
}

// creates counts what is created in a store.
type creates struct {
	store.Store
	n int
}

func (c *creates) Create(ctx context.Context, key string, body io.Reader) error {
	c.n++
	return c.Store.Create(ctx, key, body)
}

// A finished run waits for a sidecar that does not stop, for a bounded time and with attempts that
// become rare. None of them stores anything before the last.
func TestWaitForAContainerThatDoesNotStop(t *testing.T) {
	completed := time.Date(2026, 11, 20, 10, 43, 0, 0, time.UTC)
	cluster := &logsCluster{owner: logsUID,
		status: `"completionTime":"` + completed.Format(time.RFC3339) + `","steps":[{"name":"x","container":"step-x",
			"terminated":{}}],"sidecars":[{"name":"y","container":"sidecar-y","running":{}}]`,
		containers: `{"name":"step-x","state":{"terminated":{}}},{"name":"sidecar-y","state":{"running":{}}}`,
		log: func(w http.ResponseWriter, _ *http.Request) {
			for i := range 20_000 {
				_, _ = fmt.Fprintf(w, "2026-11-20T10:42:11.000000000Z line %d\n", i)
			}
		}}
	for name, tt := range map[string]struct{ after, again time.Duration }{
		"just finished":                     {0, time.Second},
		"after the first seconds":           {20 * time.Second, 5 * time.Second},
		"after minutes":                     {9 * time.Minute, 15 * time.Second},
		"finished in the future, by a bit":  {-2 * time.Second, time.Second},
		"finished in the future, by a lot":  {-24 * time.Hour, 0},
		"after the longest time of waiting": {logPatience, 0},
	} {
		t.Run(name, func(t *testing.T) {
			counted := &creates{Store: testStore(t)}
			a := cluster.archiver(t, Collect, counted, func() time.Time { return completed.Add(tt.after) })
			result, err := a.Archive(t.Context(), logsRun, true)
			if err != nil {
				t.Fatal(err)
			}
			waits := result.Outcome == Waiting && result.Reason == waitLogs
			if waits != (tt.again > 0) || !waits && result.Outcome != Archived || waits && result.Again != tt.again {
				t.Errorf("got %+v, want to wait for %s", result, tt.again)
			}
			if waits == (counted.n > 0) {
				t.Errorf("%d objects were stored", counted.n)
			}
		})
	}
}

// A kubelet that sends nothing hangs no worker: the run is tried again, and archived without the
// rest of its logs when that has lasted too long. Then only the first container is waited for.
func TestLogsOfAKubeletThatIsSilent(t *testing.T) {
	const missing, truncated = manifest.Missing, manifest.Truncated
	for name, tt := range map[string]struct {
		sends string
		state manifest.State
	}{
		"after its headers": {"", missing},
		"after a line":      {"2026-11-20T10:42:11.000000000Z one\n", truncated},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			cluster := &logsCluster{owner: logsUID,
				status: `"steps":[{"name":"x","container":"step-x","terminated":{}},{"name":"y","container":"step-y",
					"terminated":{}}]`,
				containers: `{"name":"step-x","state":{"terminated":{}}},{"name":"step-y","state":{"terminated":{}}}`,
				log: func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					_, _ = io.WriteString(w, tt.sends)
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				}}
			now, to := time.Now(), testStore(t)
			a := cluster.archiver(t, Follow, to, func() time.Time { return now })
			a.silence = time.Second // enough for a busy machine to send the line
			if _, err := a.Archive(t.Context(), logsRun, true); PhaseOf(err) != "logs" || !errors.Is(err, podlog.ErrSilent) {
				t.Fatalf("got %v", err)
			}
			now = now.Add(logPatience + time.Second)
			requests.Store(0)
			if _, err := a.Archive(t.Context(), logsRun, true); err != nil {
				t.Fatal(err)
			}
			if p := logOf(t, to); p.State != tt.state || p.Reason != silentKubelet {
				t.Errorf("the log is %s: %s", p.State, p.Reason)
			}
			if requests.Load() != 1 {
				t.Errorf("the kubelet was asked %d times", requests.Load())
			}
		})
	}
}

// A status that names somebody else's pod brings nothing of it into the archive: not what is
// followed, not what is collected, and not what an earlier process has left in the spool.
func TestLogsOfAPodOfSomebodyElse(t *testing.T) {
	const secret = "2026-11-20T10:42:11.000000000Z password=hunter2\n"
	for name, mode := range map[string]LogMode{"followed": Follow, "collected": Collect, "left in the spool": Follow} {
		t.Run(name, func(t *testing.T) {
			cluster := &logsCluster{running: true, owner: "another",
				status:     `"steps":[{"name":"x","container":"postgres","running":{}}]`,
				containers: `{"name":"postgres","state":{"terminated":{}}}`,
				log:        func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, secret) }}
			to := testStore(t)
			a := cluster.archiver(t, mode, to, time.Now)
			key := podlog.Key{Run: logsUID, Pod: "p", Container: "postgres"}
			switch name {
			case "followed":
				a.Follower.Follow("team", key)
				a.Follower.Tail("team", key).AwaitEnd(t.Context(), time.Minute)
			case "left in the spool":
				cluster.owner = logsUID // an earlier process did not look at it
				a.Follower.Follow("team", key)
				a.Follower.Tail("team", key).AwaitEnd(t.Context(), time.Minute)
				a.Follower.Close()
				cluster.owner = "another"
				again, err := podlog.NewFollower(a.kube, a.Spool, 1, podlog.Metrics{}, a.Log)
				if err != nil {
					t.Fatal(err)
				}
				a.Follower = again
			}
			cluster.running = false
			if _, err := a.Archive(t.Context(), logsRun, true); err != nil {
				t.Fatal(err)
			}
			if p := logOf(t, to); p.State != manifest.Missing || p.Reason != "the pod p was not the run's" {
				t.Errorf("the log is %s: %s", p.State, p.Reason)
			}
		})
	}
}

// A message that the kubelet returns instead of a log, or appends to one, is no part of it. What
// came before is.
func TestLogsThatTheKubeletEndsWithAMessage(t *testing.T) {
	const line, message = "2026-11-20T10:42:11.000000000Z one\n", "failed to watch file: too many open files\n"
	for name, tt := range map[string]struct {
		sends  string
		state  manifest.State
		reason string
		bytes  int64
	}{
		"no message":              {line, manifest.Complete, "", 4},
		"nothing":                 {"", manifest.Complete, "", 0},
		"a message only":          {message, manifest.Missing, noLog, 0},
		"a line and a message":    {line + message, manifest.Truncated, noRest, 4},
		"many lines and the same": {strings.Repeat(line, 20_000) + message, manifest.Truncated, noRest, 80_000},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := &logsCluster{owner: logsUID, status: `"steps":[{"name":"x","container":"step-x","terminated":{}}]`,
				containers: `{"name":"step-x","state":{"terminated":{}}}`,
				log:        func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.sends) }}
			to := testStore(t)
			if _, err := cluster.archiver(t, Collect, to, time.Now).Archive(t.Context(), logsRun, true); err != nil {
				t.Fatal(err)
			}
			p := logOf(t, to)
			var stored int64
			switch {
			case p.Text != nil:
				stored = int64(len(*p.Text))
			case p.Content != nil:
				stored = p.Content.Bytes
			}
			if p.State != tt.state || p.Reason != tt.reason || stored != tt.bytes {
				t.Errorf("%d bytes are stored, %s: %s", stored, p.State, p.Reason)
			}
		})
	}
}

// The rest of a log that was followed, for which the kubelet has only a message, is asked for
// again, and given up with that reason.
func TestLogsWhoseRestIsAMessage(t *testing.T) {
	const line, message = "2026-11-20T10:42:11.000000000Z one\n", "failed to watch file: too many open files\n"
	var streams atomic.Int64
	again := make(chan struct{})
	cluster := &logsCluster{owner: logsUID, status: `"steps":[{"name":"x","container":"step-x","terminated":{}}]`,
		containers: `{"name":"step-x","state":{"terminated":{}}}`,
		log: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, line)
			switch streams.Add(1) {
			case 1:
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			case 2:
				close(again)
			}
			_, _ = io.WriteString(w, message)
		}}
	now, to := time.Now(), testStore(t)
	a := cluster.archiver(t, Follow, to, func() time.Time { return now })
	a.Follower.Follow("team", podlog.Key{Run: logsUID, Pod: "p", Container: "step-x"})
	<-again
	if _, err := a.Archive(t.Context(), logsRun, true); !errors.Is(err, podlog.ErrNoStamp) {
		t.Fatalf("got %v", err)
	}
	now = now.Add(logPatience + time.Second)
	if _, err := a.Archive(t.Context(), logsRun, true); err != nil {
		t.Fatal(err)
	}
	if p := logOf(t, to); p.State != manifest.Truncated || p.Reason != noRest || p.Text == nil || *p.Text != "one\n" {
		t.Errorf("the log is %s: %s", p.State, p.Reason)
	}
}
