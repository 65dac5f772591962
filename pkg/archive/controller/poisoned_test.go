package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/jackc/pgx/v5/pgconn"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// refusingIndex refuses rows of runs whose names begin with "poisoned", for good.
type refusingIndex struct {
	index.Index
	with error
}

func (x refusingIndex) Put(_ context.Context, rows ...index.Row) error {
	for _, row := range rows {
		if strings.HasPrefix(row.Commit.Run.Name, "poisoned") {
			return x.with
		}
	}
	return nil
}

// finishedRuns serves finished TaskRuns of any name.
func finishedRuns(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":%q,"namespace":"team",
		"uid":%q,"resourceVersion":"1","creationTimestamp":"2026-11-20T10:42:11Z","finalizers":[%q]},
		"status":{"conditions":[{"type":"Succeeded","status":"True"}]}}`, name, name, run.Finalizer)
}

// controllerOf returns a Controller with a queue whose delays are short, and without workers.
func controllerOf(t *testing.T, x index.Index) *Controller {
	t.Helper()
	return controllerWith(t, func(o *archiver.Options) { o.Index = x })
}

// controllerWith is controllerOf with other options.
func controllerWith(t *testing.T, change func(*archiver.Options)) *Controller {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(finishedRuns))
	t.Cleanup(server.Close)
	dir, err := store.NewDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	options := archiver.Options{Cluster: layout.Cluster("c"), Store: dir,
		Config: &rest.Config{Host: server.URL, QPS: -1}, Logs: archiver.None, Now: time.Now, Log: logr.Discard()}
	change(&options)
	a, err := archiver.New(options)
	if err != nil {
		t.Fatal(err)
	}
	a.Recent.EndList()
	c := New(a)
	c.queue = priorityqueue.New("test", func(o *priorityqueue.Opts[run.Reference]) {
		o.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[run.Reference](
			time.Millisecond, time.Millisecond)
		o.Log = c.Log
	})
	t.Cleanup(c.queue.ShutDown)
	return c
}

func TestRunsThatTheIndexRefusesDelayNobody(t *testing.T) {
	for name, refusal := range map[string]error{
		"for a reason that is known":     &pgconn.PgError{Code: "54000", Message: "index row size 8016 exceeds 2704"},
		"for a reason that is not known": errors.New("no such row, please"),
	} {
		t.Run(name, func(t *testing.T) {
			c := controllerOf(t, refusingIndex{with: refusal})
			for range 2 {
				for i := range 30 {
					c.handle(t.Context(), runIn("team", fmt.Sprint("poisoned-", i)), urgent)
					if left := c.backoff.remaining(); left > 0 {
						t.Fatalf("everybody waits for %s after %d attempts", left, i+1)
					}
				}
			}
		})
	}
}

func TestRunsThatFailOftenComeAfterFirstAttempts(t *testing.T) {
	c := controllerOf(t, nil)
	poisoned, fresh := runIn("team", "poisoned"), runIn("team", "fresh")
	for i := range oftenFailed {
		c.failed(t.Context(), poisoned, urgent, errors.New("no"))
		got, priority, _ := c.queue.GetWithPriority()
		c.queue.Done(got)
		if want := i+1 < oftenFailed; (priority == urgent) != want {
			t.Errorf("priority %d after %d failures", priority, i+1)
		}
	}
	c.add(poisoned, failing, atOnce)
	c.add(fresh, backlogParents, atOnce)
	for c.queue.Len() < 2 {
		runtime.Gosched() // the queue takes them in the background
	}
	if got, _, _ := c.queue.GetWithPriority(); got != fresh {
		t.Errorf("%s is first", got)
	}
}
