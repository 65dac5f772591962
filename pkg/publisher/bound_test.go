package publisher

import (
	"slices"
	"testing"
	"time"
)

// fakeTime is a clock that jumps: waiting takes no time, and is written down.
type fakeTime struct {
	t      time.Time
	waited []time.Duration
	onWait func() // called at each wait, before the time has passed
}

func newFakeTime() *fakeTime {
	return &fakeTime{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func (f *fakeTime) clock() clock {
	return clock{
		now: func() time.Time { return f.t },
		after: func(d time.Duration) <-chan time.Time {
			f.waited = append(f.waited, d)
			c := make(chan time.Time, 1)
			if f.onWait != nil {
				f.onWait()
				return c // the test moved the bound: that is what has to wake the pause
			}
			f.t = f.t.Add(d)
			c <- f.t
			return c
		},
		random: func() float64 { return 0.5 },
	}
}

func TestBoundLeft(t *testing.T) {
	const minute = time.Minute
	tests := map[string]struct {
		timeout, grace time.Duration
		stops          []time.Duration // before the command's end, which is at ten minutes
		later          []time.Duration // after it, while publishing
		at             time.Duration   // when to look
		want           time.Duration
		why            string
	}{
		"is the timeout without a stop signal": {timeout: 2 * minute, grace: 30 * time.Second, at: 10 * minute,
			want: 2 * minute, why: "publishing timeout of 2m0s"},
		"runs out": {
			timeout: 2 * minute, grace: 30 * time.Second, at: 13 * minute, want: -minute, why: "publishing timeout",
		},
		"is the grace period less 2 s after SIGTERM": {timeout: 2 * minute, grace: 30 * time.Second,
			stops: []time.Duration{10 * minute}, at: 10 * minute, want: 28 * time.Second,
			why: "pod's grace period of 30s"},
		"counts the grace period from the SIGTERM": {timeout: 2 * minute, grace: 30 * time.Second,
			stops: []time.Duration{10*minute - 20*time.Second}, at: 10 * minute, want: 8 * time.Second, why: "grace"},
		"is over within the margin before the SIGKILL": {timeout: 2 * minute, grace: 30 * time.Second,
			stops: []time.Duration{10*minute - 29*time.Second}, at: 10 * minute, want: -time.Second, why: "grace"},
		"forgets a SIGTERM outlived": {timeout: 2 * minute, grace: 30 * time.Second,
			stops: []time.Duration{9 * minute}, at: 10 * minute, want: 2 * minute, why: "timeout"},
		"takes the next SIGTERM after one outlived": {timeout: 2 * minute, grace: 30 * time.Second,
			stops: []time.Duration{9 * minute, 10 * minute}, at: 10 * minute, want: 28 * time.Second, why: "grace"},
		"counts from the first of two SIGTERMs": {timeout: 2 * minute, grace: 30 * time.Second,
			stops: []time.Duration{10*minute - 20*time.Second, 10*minute - time.Second}, at: 10 * minute,
			want: 8 * time.Second,
			why:  "grace"},
		"shrinks while publishing": {timeout: 2 * minute, grace: 30 * time.Second,
			later: []time.Duration{10*minute + 10*time.Second}, at: 10*minute + 10*time.Second, want: 28 * time.Second,
			why: "grace"},
		"never grows": {timeout: 2 * minute, grace: 10 * minute,
			later: []time.Duration{11 * minute}, at: 11 * minute, want: minute, why: "timeout"},
		"takes zero for Kubernetes' 30 s": {timeout: 2 * minute, stops: []time.Duration{10 * minute},
			at: 10 * minute, want: 28 * time.Second, why: "grace period of 30s"},
		"keeps three quarters of a short grace period": {timeout: 2 * minute, grace: 4 * time.Second,
			stops: []time.Duration{10 * minute}, at: 10 * minute, want: 3 * time.Second, why: "grace"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFakeTime()
			start := f.t
			b := newBound(f.clock(), tt.timeout, tt.grace)
			for _, at := range tt.stops {
				f.t = start.Add(at)
				b.stop()
			}
			f.t = start.Add(10 * time.Minute)
			_, cancel := b.begin()
			defer cancel()
			for _, at := range tt.later {
				f.t = start.Add(at)
				b.stop()
			}
			f.t = start.Add(tt.at)
			if got := b.left(); got != tt.want {
				t.Errorf("left %s, want %s", got, tt.want)
			}
			_, why := b.spent()
			wantText(t, why, tt.why)
		})
	}
}

func TestBoundEndsItsContext(t *testing.T) {
	b := newBound(realClock(), time.Hour, 4*time.Millisecond)
	ctx, cancel := b.begin()
	defer cancel()
	b.stop()
	<-ctx.Done() // hangs if the stop signal does not reach the context
}

func TestBoundPause(t *testing.T) {
	tests := map[string]struct {
		timeout, pause time.Duration
		want           bool
		waited         []time.Duration
	}{
		"waits as long as asked": {time.Minute, 5 * time.Second, true,
			[]time.Duration{5 * time.Second}},
		"keeps a second for the last attempt": {time.Minute, time.Hour, true,
			[]time.Duration{59 * time.Second}},
		"forbid waiting when no time for an attempt is left": {time.Second, time.Millisecond, false, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFakeTime()
			b := newBound(f.clock(), tt.timeout, 0)
			_, cancel := b.begin()
			defer cancel()
			if got := b.wait(tt.pause); got != tt.want {
				t.Errorf("wait says %v, want %v", got, tt.want)
			}
			if !slices.Equal(f.waited, tt.waited) {
				t.Errorf("waited %v, want %v", f.waited, tt.waited)
			}
		})
	}
	t.Run("wakes for a last attempt when a SIGTERM comes meanwhile", func(t *testing.T) {
		f := newFakeTime()
		b := newBound(f.clock(), time.Hour, 30*time.Second)
		_, cancel := b.begin()
		defer cancel()
		f.onWait = func() {
			f.onWait = nil
			f.t = f.t.Add(time.Minute)
			b.stop()
		}
		if !b.wait(10 * time.Minute) {
			t.Error("no last attempt")
		}
		// Grace period 30 s, less the margin of 2 s and one second for the attempt.
		if want := []time.Duration{10 * time.Minute, 27 * time.Second}; !slices.Equal(f.waited, want) {
			t.Errorf("waited %v, want %v", f.waited, want)
		}
		if left := b.left(); left != time.Second {
			t.Errorf("left %s, want 1s", left)
		}
	})
}
