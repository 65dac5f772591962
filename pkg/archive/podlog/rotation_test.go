package podlog

import (
	"testing"
	"time"
)

// Streams of a log that the kubelet rotates, and whether lines may be missing between them. Seconds
// are on the tail's clock; a stream returns its lines in the second in which it is opened.
func TestRotation(t *testing.T) {
	type stream struct {
		at int
		// again: it returns the last line of the one before; lines: it returns new ones.
		again, lines bool
		given        int64
		// drained: it has read its whole file, and then nothing for a while.
		drained bool
	}
	const small, large = 100, rotatable
	for name, tt := range map[string]struct {
		streams                 []stream
		gap, mayBeRotated, late bool
	}{
		"one stream": {[]stream{{1, false, true, small, false}}, false, false, false},
		"a long one": {[]stream{{1, false, true, large, false}}, false, true, false},
		"a late one": {[]stream{{15, false, true, small, false}}, false, false, true},
		"broken, and the next begins with the last line": {[]stream{{1, false, true, large, false},
			{60, true, true, small, false}}, false, false, false},
		"broken, and the next has new lines only": {[]stream{
			{1, false, true, large, false}, {5, false, true, small, false}}, true, false, false},
		"drained, and the next follows at once with the next file": {[]stream{
			{1, false, true, large, true}, {4, false, true, large, false}}, false, true, false},
		"drained, and the next comes after possibly two rotations": {[]stream{
			{1, false, true, large, true}, {11, false, true, large, false}}, true, true, false},
		"drained twice, and then the next file": {[]stream{
			{1, false, true, large, true}, {9, true, false, large, true}, {15, false, true, small, false}}, false,
			false, false},
		"drained, then one without the last line and without new ones": {[]stream{
			{1, false, true, large, true}, {3, false, false, 0, false}, {5, false, true, small, false}}, true,
			false, false},
		"a gap stays": {[]stream{
			{1, false, true, large, false}, {5, false, true, small, false}, {6, true, true, small, false}}, true,
			false, false},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
			second := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
			var r rotation
			last := time.Time{}
			for _, s := range tt.streams {
				now := second(s.at)
				r.ask(now)
				r.begin(now, last)
				if s.again {
					r.again()
				}
				if s.lines {
					r.next(!last.IsZero())
					last = now
				}
				r.end(s.given, s.drained)
			}
			if r.gap != tt.gap || r.maybeRotated() != tt.mayBeRotated || r.late(start) != tt.late {
				t.Errorf("gap %v, may be rotated %v, late %v, want %v, %v, %v", r.gap, r.maybeRotated(),
					r.late(start), tt.gap,
					tt.mayBeRotated, tt.late)
			}
		})
	}
}

// Lines of a stream that follows a log, as the second of the node's clock in which each was
// printed, and in which it was read.
func TestRotationsWithinAStream(t *testing.T) {
	type line struct{ printed, read int }
	for name, tt := range map[string]struct {
		lines  []line
		behind int // how many seconds the node's clock is behind
		gap    bool
	}{
		"a container that prints all the time": {lines: []line{{1, 1}, {2, 2}, {20, 20}, {21, 21}}},
		"one that prints nothing for a minute": {lines: []line{{1, 1}, {61, 61}}},
		"read late, with all lines":            {lines: []line{{1, 1}, {2, 20}, {3, 21}, {9, 22}, {15, 23}, {24, 24}}},
		"read late, and then one from after two rotations": {
			lines: []line{{1, 1}, {2, 20}, {3, 21}, {18, 21}}, gap: true},
		"read late by a node whose clock is behind": {
			lines: []line{{1, 1}, {2, 20}, {3, 21}, {18, 21}}, behind: 600, gap: true},
		"silent, on a node whose clock is behind": {lines: []line{{1, 1}, {2, 2}, {62, 62}}, behind: 600},
		"silent, on a node whose clock is ahead":  {lines: []line{{1, 1}, {2, 2}, {62, 62}}, behind: -600},
		"an old log with silence in it, read at once when the stream begins": {
			lines: []line{{-600, 1}, {-400, 1}, {-200, 2}, {1, 3}, {50, 50}}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
			second := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
			var r rotation
			r.ask(second(0))
			for _, l := range tt.lines {
				r.follow(second(l.printed-tt.behind), second(l.read))
			}
			if r.gap != tt.gap {
				t.Errorf("gap %v, want %v", r.gap, tt.gap)
			}
		})
	}
}
