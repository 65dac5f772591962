package publisher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// lastTry is the time kept back from a pause so that one more attempt fits in before the bound.
const lastTry = time.Second

// clock is the time and the chance the publisher depends on, passed in so that tests own both.
type clock struct {
	now    func() time.Time
	after  func(time.Duration) <-chan time.Time
	random func() float64 // in [0,1)
}

func realClock() clock {
	return clock{now: time.Now, after: time.After, random: rand.Float64}
}

// bound is the moment by which publishing must have ended: the timeout after the command's end, or, once the pod
// was asked to stop, shortly before the kubelet would kill it. The second may come at any time and can only bring
// the bound nearer.
type bound struct {
	clock          clock
	timeout, grace time.Duration

	mu       sync.Mutex // owns everything below
	stopped  time.Time  // the stop signal that counts; zero if none
	begun    time.Time
	deadline time.Time
	why      string        // what set the deadline, for the explanation
	moved    chan struct{} // closed and replaced when the deadline moves
	timer    *time.Timer   // cancels ctx at the deadline
	cancel   context.CancelFunc
}

func newBound(c clock, timeout, grace time.Duration) *bound {
	if grace == 0 {
		grace = DefaultGracePeriod
	}
	return &bound{clock: c, timeout: timeout, grace: grace, moved: make(chan struct{})}
}

// begin starts the time for publishing. The context ends with it.
func (b *bound) begin() (context.Context, context.CancelFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	b.begun = b.clock.now()
	b.deadline = b.begun.Add(b.timeout)
	b.why = fmt.Sprintf("the publishing timeout of %s", b.timeout)
	b.cancel = cancel
	b.timer = time.AfterFunc(b.timeout, cancel)
	b.shrink()
	return ctx, func() {
		b.timer.Stop()
		cancel()
	}
}

// left is the time that remains; zero or less when it is over.
func (b *bound) left() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.deadline.Sub(b.clock.now())
}

// spent is the time since begin, and what sets the bound.
func (b *bound) spent() (time.Duration, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock.now().Sub(b.begun), b.why
}

// pause waits for d, but leaves time for one more attempt before the deadline even if that moves meanwhile. It
// returns false when there is no such time.
func (b *bound) wait(d time.Duration) bool {
	wake := b.clock.now().Add(d)
	for {
		b.mu.Lock()
		last, moved := b.deadline.Add(-lastTry), b.moved
		b.mu.Unlock()
		now := b.clock.now()
		if !now.Before(last) {
			return false
		}
		if !now.Before(wake) {
			return true
		}
		target := wake
		if target.After(last) {
			target = last
		}
		select {
		case <-b.clock.after(target.Sub(now)):
			if !b.clock.now().Before(target) && target.Equal(last) {
				return true
			}
		case <-moved:
		}
	}
}
