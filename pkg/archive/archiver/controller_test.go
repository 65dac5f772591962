package archiver

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the watch shows is reduced to what decides; the oracle is what parse makes of the whole object.
func TestSightingSaysWhatTheRunSays(t *testing.T) {
	for name, object := range map[string]string{
		"a finished run":                  taskRun,
		"a running one":                   `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","finalizers":["indelible.dev/archive"]},"status":{"podName":"p","steps":[{"container":"step-a","running":{}}],"conditions":[{"type":"Succeeded","status":"Unknown"}]}}`,
		"a released one":                  `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","annotations":{"indelible.dev/archived":"2026-11-20T10:50:00Z","results.tekton.dev/record":"n/results/r/records/u"}}}`,
		"one with another run's marks":    `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","annotations":{"indelible.dev/archived":"2026-11-20T10:50:00Z","results.tekton.dev/record":"n/results/r/records/v"}}}`,
		"one of a PipelineRun's":          `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","name":"p","uid":"w","controller":true}]}}`,
		"one marked, and protected again": `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","finalizers":["indelible.dev/archive"],"annotations":{"indelible.dev/archived":"2026-11-20T10:50:00Z"}}}`,
		"one left alone":                  `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","annotations":{"indelible.dev/archive":"disabled"},"labels":{"indelible.dev/archiver":"x"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := parse([]byte(object))
			if err != nil {
				t.Fatal(err)
			}
			s := &sighting{}
			if err := json.Unmarshal([]byte(object), s); err != nil {
				t.Fatal(err)
			}
			got := []any{s.foreign, s.owned, s.finished, s.protected, s.released, s.optedOut, s.class, s.reference(), s.UID, string(s.object)}
			want := []any{len(r.foreignMarks()) > 0, r.owned(), r.finished(), r.protected(), released(r), r.optedOut(), r.Labels[ClassLabel], r.reference(), r.UID, object}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	finished := func(ago time.Duration, finalizers ...string) *run {
		at := metav1.NewTime(now.Add(-ago))
		return &run{ObjectMeta: metav1.ObjectMeta{Finalizers: finalizers}, status: status{CompletionTime: &at}}
	}
	for name, test := range map[string]struct {
		run   *run
		waits bool
	}{
		"archive a run that nobody adds to":                 {finished(0, Finalizer), false},
		"wait for Chains":                                   {finished(time.Minute, "chains.tekton.dev"), true},
		"wait for Chains by the name of a kind":             {finished(time.Minute, "chains.tekton.dev/pipelinerun"), true},
		"archive a run that Chains does not come to":        {finished(11*time.Minute, "chains.tekton.dev"), false},
		"archive a run with a finalizer of somebody else's": {finished(0, "example.dev/x"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := settled(test.run, now); (err != nil) != test.waits {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWaitingRuns(t *testing.T) {
	w := &waiting{runs: map[Reference]*waitingRun{}}
	one, two := Reference{"TaskRun", "n", "one"}, Reference{"TaskRun", "n", "two"}
	start := time.Now()
	w.saw(one, start, true, 10)
	w.saw(two, start.Add(time.Second), false, 20)
	w.saw(one, start.Add(time.Minute), false, 30) // again: it waits since it was seen first
	if took, ok := w.committed(one, start.Add(2*time.Second)); !ok || took != 2*time.Second {
		t.Errorf("took %s, %v", took, ok)
	}
	if _, ok := w.committed(one, start.Add(3*time.Second)); ok {
		t.Error("committed twice")
	}
	if _, ok := w.committed(two, start.Add(3*time.Second)); ok {
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
	w.report(NewMetrics(nil), logr.Discard(), start, time.Second)
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

func TestDerivedIdentifiers(t *testing.T) {
	// python3 -c 'import uuid; r=uuid.UUID("6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11"); print(uuid.uuid3(r, "u1"), uuid.uuid3(r, "u1eventlist"))'
	const result = "6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11"
	if got := logID(result, "u1"); got != "486a7199-0658-3430-9f05-68ac3b57b504" {
		t.Errorf("log %s", got)
	}
	if got := eventListID(result, "u1"); got != "ec31677c-fd0f-39dc-bbb8-0b30284d1fa8" {
		t.Errorf("events %s", got)
	}
	if logID("push-17", "u1") == logID("push-18", "u1") {
		t.Error("two Results, one log")
	}
}
