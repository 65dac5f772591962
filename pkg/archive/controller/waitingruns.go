package controller

import (
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// waitQueued is the reason of a run before its first attempt.
const waitQueued = "queued"

// waiting has the runs that are finished or being deleted, and not in the archive yet, with the
// reasons.
type waiting struct {
	mu   sync.Mutex
	runs map[run.Reference]*waitingRun
}

type waitingRun struct {
	since time.Time
	// fresh: the run finished while it was watched, so since is when it finished. measured: latency
	// has counted it.
	fresh, measured bool
	// size of the object as last seen, in bytes.
	size           int
	reason, detail string
}

// add adds a run that is to be archived, or updates its size.
func (w *waiting) add(ref run.Reference, now time.Time, fresh bool, size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.runs[ref]; r != nil {
		r.size = size
		return
	}
	w.runs[ref] = &waitingRun{since: now, fresh: fresh, size: size, reason: waitQueued}
}

// setReason records why a run still waits.
func (w *waiting) setReason(ref run.Reference, reason, detail string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.runs[ref]; r != nil {
		r.reason, r.detail = reason, detail
	}
}

// has reports whether a run waits for reason.
func (w *waiting) has(ref run.Reference, reason string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[ref]
	return r != nil && r.reason == reason
}

// size returns a run's size, 0 if unknown.
func (w *waiting) size(ref run.Reference) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.runs[ref]; r != nil {
		return r.size
	}
	return 0
}

// latency returns how long a run took to be committed, once, for one that finished while it was
// watched.
func (w *waiting) latency(ref run.Reference, now time.Time) (took time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[ref]
	if r == nil || !r.fresh || r.measured {
		return 0, false
	}
	r.measured = true
	return now.Sub(r.since), true
}

// remove forgets a run.
func (w *waiting) remove(ref run.Reference) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.runs, ref)
}

// reasonsOf counts the runs that wait for the same reason.
type reasonsOf struct {
	count  int
	oldest run.Reference
	run    waitingRun
}

func (w *waiting) byReason() map[string]*reasonsOf {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := map[string]*reasonsOf{}
	for ref, r := range w.runs {
		of := by[r.reason]
		if of == nil {
			of = &reasonsOf{oldest: ref, run: *r}
			by[r.reason] = of
		}
		of.count++
		if r.since.Before(of.run.since) {
			of.oldest, of.run = ref, *r
		}
	}
	return by
}

// report sets the metrics, and logs a line per reason for which a run has waited longer than
// patience.
func (w *waiting) report(m *archiver.Metrics, log logr.Logger, now time.Time, patience time.Duration) {
	m.Waiting.Reset()
	m.Oldest.Reset()
	for reason, of := range w.byReason() {
		age := now.Sub(of.run.since)
		m.Waiting.WithLabelValues(reason).Set(float64(of.count))
		m.Oldest.WithLabelValues(reason).Set(age.Seconds())
		if patience > 0 && age > patience {
			log.Info("Runs wait for the archive", "reason", reason, "runs", of.count, "oldest", of.oldest.String(),
				"waits", age.Round(time.Second).String(), "detail", of.run.detail)
		}
	}
}
