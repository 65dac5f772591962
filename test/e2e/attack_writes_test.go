//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A pod may write as often as the API server's fairness allows. A write that adds nothing costs a
// request, but no write to etcd: no disk space, and no events for watchers.
func TestWritesThatAddNothing(t *testing.T) { writeNothing(t, often(10_000, 500)) }

// etcdUpdates counts the API server's transactions on TaskRuns.
var etcdUpdates = regexp.MustCompile(
	`(?m)^etcd_requests_total\{[^}]*operation="update",resource="taskruns"[^}]*\} ([0-9.e+]+)$`)

func writeNothing(t *testing.T, n int) {
	s := newStage(newPlace(t))
	value := strings.Repeat("v", 4096)
	s.makeTaskRun("published", ``)
	first := apiServerCount(s.place, etcdUpdates)
	s.must(s.send(s.writers["published-pod"], "taskruns/published/status",
		asMergePatch(statusWith(value, "late")), false))
	before, start := apiServerCount(s.place, etcdUpdates), time.Now()
	if before == first {
		t.Fatal("a result that was added did not count as a write to etcd: the metric is not what this test takes it for")
	}
	stored := withoutBooks(t, s.stored(tektonV1, "taskruns/published"))

	bodies := []string{statusWith(value, "late"), `{}`, `{"status":{}}`}
	writes := make(chan string)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for body := range writes {
				if err := s.send(s.writers["published-pod"], "taskruns/published/status", asMergePatch(body),
					false); err != nil {
					t.Errorf("a write that adds nothing was refused: %v", err)
				}
			}
		})
	}
	for i := range n {
		writes <- bodies[i%len(bodies)]
	}
	close(writes)
	workers.Wait()
	took := time.Since(start)

	if after := withoutBooks(t, s.stored(tektonV1, "taskruns/published")); !bytes.Equal(after, stored) {
		t.Errorf("the TaskRun has changed: before %s, after %s", fingerprint(stored), fingerprint(after))
	}
	updates := apiServerCount(s.place, etcdUpdates) - before
	t.Logf("%d writes in %s, %d updates of TaskRuns in etcd", n, took.Round(time.Millisecond), updates)
	// Other TaskRuns of the cluster may be written meanwhile, as the archiver does with those of
	// earlier tests, and this one's metadata.managedFields once or twice: the API server sorts
	// those by the time of each writer's last write, and stores a new order though nothing else is
	// new.
	if updates > n/20 {
		t.Errorf("%d writes that add nothing led to %d updates in etcd", n, updates)
	}
}

// statusWith is what a publisher sends: text, and another result of the same value.
func statusWith(value, other string) string {
	quoted, _ := json.Marshal(value)
	return `{"status":{"results":[{"name":"text","value":` + string(quoted) + `},{"name":"` + other + `","value":` +
		string(quoted) + `}]}}`
}
