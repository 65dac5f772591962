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
