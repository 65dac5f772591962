package controller

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Nothing is archived while the events may come, and everything when they have not in time.
func TestAwaitEvents(t *testing.T) {
	for name, test := range map[string]struct {
		comes, working bool
		log            string
	}{
		"of an API server that lists them":       {true, true, ""},
		"of an API server that never lists them": {false, true, "archived without their events"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, err := archiver.New(archiver.Options{Config: &rest.Config{Host: "http://192.0.2.1"},
					Logs: archiver.None, Now: time.Now, Log: logr.Discard()})
				if err != nil {
					t.Fatal(err)
				}
				logged := ""
				a.Log = funcr.New(func(_, args string) { logged += args }, funcr.Options{})
				c := New(a)
				defer c.retries.ShutDown()
				go c.awaitEvents(t.Context())
				synctest.Wait()
				if isClosed(c.Working()) || testutil.ToFloat64(c.Metrics.AwaitsEvents) != 1 {
					t.Error("runs are archived without events that may still come")
				}
				if test.comes {
					c.Recent.EndList()
				} else {
					time.Sleep(eventsPatience)
				}
				synctest.Wait()
				if isClosed(c.Working()) != test.working || testutil.ToFloat64(c.Metrics.AwaitsEvents) != 0 {
					t.Error("runs are not archived")
				}
				if (logged == "") != (test.log == "") || !strings.Contains(logged, test.log) {
					t.Errorf("logged %q, want %q", logged, test.log)
				}
			})
		})
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Also the worker's and the watchers' way there: an API server that lists runs, and no events.
func TestRunsAreArchivedWithoutEvents(t *testing.T) {
	const list = `{"metadata":{"resourceVersion":"1"},"items":[OBJECT]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Get("watch") != "", strings.HasSuffix(r.URL.Path, "/events"):
			w.WriteHeader(http.StatusForbidden)
		case strings.HasSuffix(r.URL.Path, "runs"):
			object := ""
			if strings.HasSuffix(r.URL.Path, "/taskruns") {
				recorder := httptest.NewRecorder()
				finishedRuns(recorder, httptest.NewRequestWithContext(r.Context(), http.MethodGet, "/build", nil))
				object = recorder.Body.String()
			}
			_, _ = w.Write([]byte(strings.Replace(list, "OBJECT", object, 1)))
		default:
			finishedRuns(w, r)
		}
	}))
	defer server.Close()
	dir, err := store.NewDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, err := archiver.New(archiver.Options{Cluster: layout.Cluster("c"), Store: dir,
		Config: &rest.Config{Host: server.URL, QPS: -1}, Logs: archiver.None, Now: time.Now, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	c := New(a)
	c.eventsPatience = 0
	committed := make(chan string, 10)
	done := a.OnCommit
	a.OnCommit = func(r *run.Run) { done(r); committed <- r.Name }
	ended := make(chan error)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- c.Run(ctx) }()
	if name := <-committed; name != "build" {
		t.Errorf("%s is archived", name)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
