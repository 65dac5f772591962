package controller

import (
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

func TestWaitingRuns(t *testing.T) {
	w := &waiting{runs: map[run.Reference]*waitingRun{}}
	one, two := run.Reference{Kind: "TaskRun", Namespace: "n", Name: "one"},
		run.Reference{Kind: "TaskRun", Namespace: "n", Name: "two"}
	start := time.Now()
	w.add(one, start, true, 10)
	w.add(two, start.Add(time.Second), false, 20)
	w.add(one, start.Add(time.Minute), false, 30) // again: since stays
	if took, ok := w.latency(one, start.Add(2*time.Second)); !ok || took != 2*time.Second {
		t.Errorf("took %s, %v", took, ok)
	}
	if _, ok := w.latency(one, start.Add(3*time.Second)); ok {
		t.Error("committed twice")
	}
	if _, ok := w.latency(two, start.Add(3*time.Second)); ok {
		t.Error("one that finished nobody knows when has a latency")
	}
	w.setReason(one, "commit", "no space left")
	by := w.byReason()
	if len(by) != 2 || by["commit"].oldest != one || by[waitQueued].count != 1 || w.size(one) != 30 {
		t.Errorf("got %+v", by)
	}
	w.remove(one)
	if w.has(one, "commit") {
		t.Error("still there")
	}
	w.report(archiver.NewMetrics(nil), logr.Discard(), start, time.Second)
}
