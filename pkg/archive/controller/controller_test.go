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
	w.saw(one, start, true, 10)
	w.saw(two, start.Add(time.Second), false, 20)
	w.saw(one, start.Add(time.Minute), false, 30) // again: it waits since it was seen first
	if took, ok := w.latency(one, start.Add(2*time.Second)); !ok || took != 2*time.Second {
		t.Errorf("took %s, %v", took, ok)
	}
	if _, ok := w.latency(one, start.Add(3*time.Second)); ok {
		t.Error("committed twice")
	}
	if _, ok := w.latency(two, start.Add(3*time.Second)); ok {
		t.Error("one that finished nobody knows when has a latency")
	}
	w.because(one, "commit", "no space left")
	by := w.byReason()
	if len(by) != 2 || by["commit"].oldest != one || by[waitQueued].count != 1 || w.size(one) != 30 {
		t.Errorf("got %+v", by)
	}
	w.done(one)
	if w.has(one, "commit") {
		t.Error("still there")
	}
	w.report(archiver.NewMetrics(nil), logr.Discard(), start, time.Second)
}

func TestPause(t *testing.T) {
	var p pause
	if p.left() > 0 {
		t.Error("a pause before any failure")
	}
	p.longer()
	first := p.length
	p.longer() // of one that was under way at the same time
	if p.left() <= 0 || p.length != first {
		t.Errorf("%s left of %s", p.left(), p.length)
	}
	for range 20 {
		p.until = time.Time{}
		p.longer()
	}
	if p.length != lastRetry/2 {
		t.Errorf("grew to %s", p.length)
	}
	if p.over(); p.left() > 0 {
		t.Error("not over")
	}
}
