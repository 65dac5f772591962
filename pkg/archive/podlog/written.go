package podlog

import "time"

// written is what is in a Tail's file.
type written struct {
	// size is the file's, lineEnd where its last whole line ends.
	size, lineEnd int64
	// at is behind the last line that began.
	at mark
	// before is what at was before that line: it may not be whole.
	before mark
}

// mark is a place between lines: the time of the line before it, and how many lines in a row have
// that.
type mark struct {
	last time.Time
	same int
}

// began notes the time of the line that comes next.
func (w *written) began(at time.Time) {
	w.before = w.at
	if !at.Equal(w.at.last) {
		w.at.same = 0
	}
	w.at = mark{at, w.at.same + 1}
}

// whole is the place behind the last whole line of the file.
func (w *written) whole() mark {
	if w.size == w.lineEnd {
		return w.at
	}
	return w.before
}
