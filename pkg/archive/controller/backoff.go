package controller

import (
	"sync"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const (
	// doubtRuns and doubtNamespaces are in how many runs of how many namespaces an unclear error
	// must occur, and no attempt succeed meanwhile, to count as an outage.
	doubtRuns, doubtNamespaces = 3, 2
	// longestOutage and longestDoubt bound a delay. In doubt it is the runs that may be wrong.
	longestOutage, longestDoubt = lastRetry / 2, lastRetry / 10
)

// backoff stops all attempts while the store or index does not answer. Otherwise thousands of
// waiting runs would each try every few seconds, and read from the API server first. After each
// delay the attempts show whether it is back.
//
// It must not stop others because of what a run contains. So errors about that do not count, and an
// unclear one counts once: a run that has failed while another one succeeded fails by itself, as
// far as anybody can tell, until it succeeds.
type backoff struct {
	mu     sync.Mutex
	until  time.Time
	length time.Duration
	// doubted has the runs that have failed for unclear causes since the last success; alone those
	// that had before it.
	doubted, alone map[run.Reference]struct{}
}

func (b *backoff) remaining() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Until(b.until)
}

// failed records a failure.
func (b *backoff) failed(ref run.Reference, why cause) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case why == outage:
		b.extend(longestOutage)
	case why == unclear && b.doubt(ref):
		b.extend(longestDoubt)
	}
}

// doubt records that a run failed for an unclear cause, and reports whether it is an outage.
func (b *backoff) doubt(ref run.Reference) bool {
	if _, alone := b.alone[ref]; alone {
		return false
	}
	if b.doubted == nil {
		b.doubted = map[run.Reference]struct{}{}
	}
	b.doubted[ref] = struct{}{}
	if len(b.doubted) < doubtRuns {
		return false
	}
	namespaces := map[string]struct{}{}
	for other := range b.doubted {
		if namespaces[other.Namespace] = struct{}{}; len(namespaces) == doubtNamespaces {
			return true
		}
	}
	return false
}

// extend is called with mu held. Failures during a delay count as one.
func (b *backoff) extend(longest time.Duration) {
	if time.Now().Before(b.until) {
		return
	}
	b.length = min(max(2*b.length, firstRetry/2), longest)
	b.until = time.Now().Add(b.length)
}

// succeeded records that the store and the index have taken a run.
func (b *backoff) succeeded(ref run.Reference) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.length, b.until = 0, time.Time{}
	delete(b.doubted, ref)
	delete(b.alone, ref)
	if len(b.doubted) == 0 {
		return
	}
	if b.alone == nil {
		b.alone = map[run.Reference]struct{}{}
	}
	for other := range b.doubted {
		b.alone[other] = struct{}{}
	}
	clear(b.doubted)
}

// forget drops a run that is no longer in the cluster, or waits for nothing.
func (b *backoff) forget(ref run.Reference) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.doubted, ref)
	delete(b.alone, ref)
}
