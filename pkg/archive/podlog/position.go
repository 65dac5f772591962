package podlog

import "time"

// position is where in the log a Tail's file ends.
type position struct {
	// size of the file; lineEnd is where its last whole line ends.
	size, lineEnd int64
	// at is after the last line, which may be partial.
	at mark
	// before is at's value before that line.
	before mark
}

// mark is a place between lines: the time of the line before it, and how many consecutive lines
// have that time.
type mark struct {
	last time.Time
	same int
}

// startLine records the time of the next line.
func (w *position) startLine(at time.Time) {
	w.before = w.at
	if !at.Equal(w.at.last) {
		w.at.same = 0
	}
	w.at = mark{at, w.at.same + 1}
}

// afterLastLine is the place after the last whole line.
func (w *position) afterLastLine() mark {
	if w.size == w.lineEnd {
		return w.at
	}
	return w.before
}
