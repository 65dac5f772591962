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
	// heard is when the last line arrived, by this process's clock.
	heard time.Time
}

// mark is a place between lines: the time of the line before it, how many consecutive lines have
// that time, and the latest time of all lines before it. That is usually the same one, but standard
// output and standard error are stamped separately, and clocks are set.
type mark struct {
	last   time.Time
	same   int
	newest time.Time
}

// startLine records the time of the next line.
func (w *position) startLine(at time.Time) {
	w.before = w.at
	if !at.Equal(w.at.last) {
		w.at.same = 0
	}
	w.at.last = at
	w.at.same++
	if at.After(w.at.newest) {
		w.at.newest = at
	}
}

// afterLastLine is the place after the last whole line.
func (w *position) afterLastLine() mark {
	if w.size == w.lineEnd {
		return w.at
	}
	return w.before
}

const (
	// unordered is by how much a line's time may be before that of the line before it, as both are
	// stamped by different threads of the runtime.
	unordered = 100 * time.Millisecond
	// delay is how long a line may take from its node to here.
	delay = time.Second
)

// since is from what time on to ask for lines, so that all after the last whole line are among
// them. They have later times than that one, unless the node's clock was set back. That is possible
// where the line's time is in the future: then what comes after it is not from before it was heard.
func (w *position) since() time.Time {
	last := w.afterLastLine().last
	if w.heard.Before(last) {
		return w.heard.Add(-delay)
	}
	return last.Add(-unordered)
}
