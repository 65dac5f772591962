package podlog

import (
	"testing"
	"time"
)

// What a kubelet that rotates does between two streams, and whether lines may be missing then.
// Seconds are on the tail's clock; a stream gives its lines in the second in which it begins.
func TestRotation(t *testing.T) {
	type stream struct {
		at int
		// again says that it has the last line of the one before; lines, that it gives new ones.
		again, lines bool
		given        int64
		// drained says that it gave all of its file, and then nothing for a while.
		drained bool
	}
	const small, large = 100, rotatable
	for name, tt := range map[string]struct {
		streams                 []stream
		gap, mayBeRotated, late bool
	}{
		"one stream":         {[]stream{{1, false, true, small, false}}, false, false, false},
		"one that gave much": {[]stream{{1, false, true, large, false}}, false, true, false},
		"one that came late": {[]stream{{15, false, true, small, false}}, false, false, true},
		"that breaks, and goes on with the last line": {[]stream{{1, false, true, large, false},
			{60, true, true, small, false}}, false, false, false},
		"that breaks, and the next has new lines only": {[]stream{
			{1, false, true, large, false}, {5, false, true, small, false}}, true, false, false},
		"that gave all, and the next, at once, has the file after": {[]stream{
			{1, false, true, large, true}, {4, false, true, large, false}}, false, true, false},
		"that gave all, and the next comes when there may have been two rotations": {[]stream{
			{1, false, true, large, true}, {11, false, true, large, false}}, true, true, false},
		"that gave all, one that saw it was still so, and then the file after": {[]stream{
			{1, false, true, large, true}, {9, true, false, large, true}, {15, false, true, small, false}}, false, false, false},
		"that gave all, one that did not have the last line any more nor new ones": {[]stream{
			{1, false, true, large, true}, {3, false, false, 0, false}, {5, false, true, small, false}}, true, false, false},
		"a gap is not forgotten": {[]stream{
			{1, false, true, large, false}, {5, false, true, small, false}, {6, true, true, small, false}}, true, false, false},
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
				t.Errorf("gap %v, may be rotated %v, late %v, want %v, %v, %v", r.gap, r.maybeRotated(), r.late(start), tt.gap,
					tt.mayBeRotated, tt.late)
			}
		})
	}
}
