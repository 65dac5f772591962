package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// deletedRunOf is a TaskRun in its last state, which nothing protected.
func deletedRunOf(t *testing.T, namespace, name string) *observed.Run {
	t.Helper()
	s := &observed.Run{}
	if err := s.Read(fmt.Appendf(nil, `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":%q,
		"namespace":%q,"uid":%q,"resourceVersion":"1","creationTimestamp":"2026-11-20T10:42:11Z"},
		"status":{"conditions":[{"type":"Succeeded","status":"True"}]}}`, name, namespace, name+"-uid")); err != nil {
		t.Fatal(err)
	}
	return s
}

// counted is a counter that can be read.
type counted struct {
	prometheus.Counter
	n int
}

func (c *counted) Inc() { c.n++ }

// One namespace cannot take all the room for deleted runs, and what is archived or given up takes
// none.
func TestRoomOfDeletedRuns(t *testing.T) {
	const mebi = 1 << 20
	runOf := func(namespace string, i int) *deletedRun {
		return &deletedRun{Reference: runIn(namespace, fmt.Sprint(i)), uid: types.UID(fmt.Sprint(namespace, i)),
			object: make([]byte, mebi)}
	}
	d, first := &Deleted{}, runOf("greedy", 0)
	for _, tt := range []struct {
		namespace string
		runs, fit int
	}{{"greedy", 30, 12}, {"honest", 10, 10}, {"third", 5, 2}} {
		fit := 0
		for i := range tt.runs {
			if d.add(runOf(tt.namespace, i)) {
				fit++
			}
		}
		if fit != tt.fit {
			t.Errorf("%d runs of %s fit, want %d", fit, tt.namespace, tt.fit)
		}
	}
	if !d.add(first) {
		t.Error("a run that waits is lost")
	}
	d.remove(first)
	if !d.add(runOf("third", 5)) || d.add(runOf("greedy", 40)) {
		t.Error("the room of a run that waits no more is not free")
	}
}

// hangingIndex does not return for runs whose names begin with "hanging", and refuses those whose
// names begin with "poisoned".
type hangingIndex struct{ index.Index }

func (hangingIndex) Put(ctx context.Context, rows ...index.Row) error {
	switch name := rows[0].Commit.Run.Name; {
	case strings.HasPrefix(name, "hanging"):
		<-ctx.Done()
		return ctx.Err()
	case strings.HasPrefix(name, "poisoned"):
		return index.ErrRefused
	}
	return nil
}

func TestDeletedRunsThatFailDelayNobody(t *testing.T) {
	for _, kind := range []string{"hanging", "poisoned"} {
		t.Run(kind, func(t *testing.T) {
			c := controllerOf(t, hangingIndex{})
			done := make(chan string, 100)
			c.OnCommit = func(r *run.Run) { done <- r.Name }
			for i := range 20 {
				c.runDeleted(deletedRunOf(t, "greedy", fmt.Sprint(kind, "-", i)))
			}
			c.runDeleted(deletedRunOf(t, "team", "honest"))
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { c.archiveDeleted(ctx); close(ended) }()
			for name := range done {
				if name == "honest" {
					break
				}
			}
			stop()
			<-ended
		})
	}
}

// brokenStore fails to create anything.
type brokenStore struct {
	store.Store
	with error
}

func (s *brokenStore) Create(ctx context.Context, key string, body io.Reader) error {
	if s.with != nil {
		return s.with
	}
	return s.Store.Create(ctx, key, body)
}

// A deleted run that fails by itself is given up after an hour. One that fails because the store is
// away waits for as long as that lasts.
func TestHowLongDeletedRunsAreTried(t *testing.T) {
	mine, away := errors.New("no such object, please"), syscall.ENOSPC
	for name, tt := range map[string]struct {
		// fails is what the store returns, and refuses the index, each for an hour and a half.
		fails, refuses error
		waits          bool
		lost           int
	}{
		"the store is away":            {fails: away, waits: true},
		"the store refuses the run":    {fails: mine, lost: 1},
		"the index is away":            {refuses: index.ErrUnavailable, waits: true},
		"the index refuses the run":    {refuses: index.ErrRefused},
		"nothing is wrong with either": {},
	} {
		t.Run(name, func(t *testing.T) {
			now, to := time.Now(), &brokenStore{with: tt.fails}
			c := controllerWith(t, func(o *archiver.Options) {
				to.Store, o.Store = o.Store, to
				o.Now = func() time.Time { return now }
				o.Index = refusingIndex{with: tt.refuses}
			})
			lost := &counted{Counter: c.Metrics.Lost}
			c.Metrics.Lost = lost
			s := deletedRunOf(t, "team", "poisoned")
			c.runDeleted(s)
			for range 9 {
				if r := c.Deleted.get(s.UID); r != nil {
					c.tryDeleted(t.Context(), r)
				}
				now = now.Add(10 * time.Minute)
			}
			if waits := c.Deleted.get(s.UID) != nil; waits != tt.waits || lost.n != tt.lost {
				t.Errorf("waits: %v, %d are lost", waits, lost.n)
			}
			if to.with = nil; tt.fails == nil || !tt.waits {
				return
			}
			c.tryDeleted(t.Context(), c.Deleted.get(s.UID))
			if c.Deleted.get(s.UID) != nil || lost.n > 0 {
				t.Error("it is not archived when the store is back")
			}
		})
	}
}

// A deleted run is tried within the hour only, and the first failure begins it.
func TestDeletedRunsAreNotGivenUpBefore(t *testing.T) {
	now, to := time.Now(), &brokenStore{with: syscall.ENOSPC}
	c := controllerWith(t, func(o *archiver.Options) {
		to.Store, o.Store = o.Store, to
		o.Now = func() time.Time { return now }
	})
	s := deletedRunOf(t, "team", "one")
	c.runDeleted(s)
	for _, step := range []struct {
		with  error
		after time.Duration
		waits bool
	}{
		{syscall.ENOSPC, 48 * time.Hour, true},
		{errors.New("no"), 59 * time.Minute, true},
		{errors.New("no"), 2 * time.Minute, true},
		{syscall.ENOSPC, 10 * time.Hour, true}, // the last attempt fails because of the store
		{errors.New("no"), 0, false},
	} {
		to.with = step.with
		c.tryDeleted(t.Context(), c.Deleted.get(s.UID))
		if waits := c.Deleted.get(s.UID) != nil; waits != step.waits {
			t.Fatalf("waits: %v, after %v", waits, step.with)
		}
		now = now.Add(step.after)
	}
}

// The next Controller of a process archives the deleted runs that the one before could not.
func TestDeletedRunsOutliveAController(t *testing.T) {
	first := controllerOf(t, nil)
	first.runDeleted(deletedRunOf(t, "team", "honest"))
	second := controllerOf(t, nil)
	second.Deleted = first.Deleted
	done := make(chan string, 1)
	second.OnCommit = func(r *run.Run) { done <- r.Name }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { second.archiveDeleted(ctx); close(ended) }()
	if name := <-done; name != "honest" {
		t.Errorf("%s is archived", name)
	}
	stop()
	<-ended
}
