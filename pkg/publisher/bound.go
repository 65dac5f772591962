package publisher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// lastTry is reserved at the end of a wait so that one more attempt fits in before the bound.
const lastTry = time.Second

// clock provides time and randomness; tests replace both.
type clock struct {
	now    func() time.Time
	after  func(time.Duration) <-chan time.Time
	random func() float64 // in [0,1)
}

func realClock() clock {
	return clock{now: time.Now, after: time.After, random: rand.Float64}
}

// bound is the deadline of publishing: the timeout after the command has ended or, once the pod has
// been asked to stop, shortly before the kubelet kills it. A stop may arrive at any time and only
// moves the deadline forward.
type bound struct {
	clock          clock
	timeout, grace time.Duration

	mu       sync.Mutex // guards everything below
	stopped  time.Time  // time of the stop signal in effect; zero if none
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

// begin starts the clock for publishing. The context is cancelled at the deadline.
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

// left returns the time until the deadline; zero or less once it has passed.
func (b *bound) left() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.deadline.Sub(b.clock.now())
}

// spent returns the time since begin, and what set the deadline.
func (b *bound) spent() (time.Duration, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock.now().Sub(b.begun), b.why
}

// wait sleeps for d, but leaves time for one more attempt before the deadline, even if the deadline
// moves meanwhile. It returns false when no such time is left.
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
