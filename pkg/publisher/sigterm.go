package publisher

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// isStop tells the signals with which a container runtime asks a container to end: SIGTERM, or what the image
// names as its STOPSIGNAL, of which these two are the usual ones.
func isStop(s os.Signal) bool {
	return s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT
}

// margin is kept of the grace period to write the termination message and exit before the SIGKILL.
func (b *bound) margin() time.Duration { return min(2*time.Second, b.grace/4) }

// stop tells that the pod was asked to end. The first such signal counts. If we are still alive after the grace
// period, that signal did not come from the kubelet (or the pod was deleted with a longer period): it no longer
// says anything about when we will be killed, and the next one counts instead.
func (b *bound) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.now()
	if b.stopped.IsZero() || now.After(b.stopped.Add(b.grace)) {
		b.stopped = now
	}
	if !b.begun.IsZero() {
		b.shrink()
	}
}

// stopping reports whether the pod is being ended, as far as signals tell.
func (b *bound) stopping() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopCounts(b.clock.now())
}

// stopCounts reports whether a stop signal may still be the kubelet's. The caller holds mu.
func (b *bound) stopCounts(now time.Time) bool {
	return !b.stopped.IsZero() && !now.After(b.stopped.Add(b.grace))
}

// shrink brings the deadline nearer if a stop signal asks for it. The caller holds mu.
func (b *bound) shrink() {
	now := b.clock.now()
	if !b.stopCounts(now) {
		return
	}
	d := b.stopped.Add(b.grace - b.margin())
	if !d.Before(b.deadline) {
		return
	}
	b.deadline = d
	b.why = fmt.Sprintf("the pod's grace period of %s", b.grace)
	b.timer.Reset(max(0, d.Sub(now)))
	close(b.moved)
	b.moved = make(chan struct{})
}
