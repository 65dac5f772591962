package publisher

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// A container runtime asks a container to end by SIGTERM or the image's STOPSIGNAL, and kills it
// after the pod's grace period. What happens depends on when the signal arrives:
//
//   - While the command runs: the signal is forwarded to it (process.go). If the command then
//     fails, nothing is published, because Tekton may run the step again (run.go).
//   - While publishing: the deadline moves to shortly before the end of the grace period (shrink).
//   - A step whose command succeeds in spite of it publishes, within what is left of the grace
//     period.

// isStop reports whether a runtime ends containers with this signal: SIGTERM, or the usual
// values of an image's STOPSIGNAL.
func isStop(s os.Signal) bool {
	return s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT
}

// margin is the part of the grace period reserved for writing the termination message and exiting
// before the SIGKILL.
func (b *bound) margin() time.Duration { return min(2*time.Second, b.grace/4) }

// stop records that the pod was asked to end. The first such signal counts. If we are still alive
// after the grace period, it did not come from the kubelet, or the pod was deleted with a longer
// period: then it says nothing about when we will be killed, and the next signal counts.
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

// stopping reports whether the pod is being stopped, as far as signals tell.
func (b *bound) stopping() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopCounts(b.clock.now())
}

// stopCounts reports whether a stop signal may still be the kubelet's. The caller holds mu.
func (b *bound) stopCounts(now time.Time) bool {
	return !b.stopped.IsZero() && !now.After(b.stopped.Add(b.grace))
}

// shrink moves the deadline forward if a stop signal requires it. The caller holds mu.
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
