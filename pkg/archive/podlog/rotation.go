package podlog

import "time"

const (
	// RotationCheck is how often the kubelet checks whether to rotate logs
	// (containerLogMonitorInterval): lines of a container's first seconds cannot have been rotated
	// away.
	RotationCheck = 10 * time.Second
	// rotatable is the size below which a log is never rotated; the kubelet's default is ten times
	// as much.
	rotatable = 1 << 20
)

// rotation decides whether lines may be missing between two streams.
//
// The kubelet renames a log that is too large, and serves only the new file from then on. A stream
// that was waiting for more of it switches to the new file; one that was still reading its
// beginning may continue to its end and never switch. So a log is read by one stream after another.
// Between two of them:
//
//	the second begins with the last line of the first, or with a later line of the same second:
//	nothing is missing
//
//	the second begins with a new line, and the first had just read its whole file: the file has
//	been rotated once since, and the second has read the next file from its beginning
//
//	the second begins with a new line, and the first had not: there is a gap
//
// Within a stream lines are missing if the log was rotated twice before the stream came to the end
// of a file: it switches to the newest.
//
// Times are of this process's clock.
type rotation struct {
	// opened is when the first stream was opened.
	opened time.Time
	// asked is when the last stream was requested. newest is when the last stream was requested
	// that returned the last line: at that time no file was newer than the one with that line.
	asked, newest time.Time
	// drained: the previous stream has read its whole file, and then nothing for a while. adjacent:
	// what this stream begins with follows it. seen: this stream has returned the last line of the
	// file, or a new one.
	drained, adjacent, seen bool
	// given is how many bytes the last non-empty stream returned.
	given int64
	// gap: lines may be missing between two streams, or two lines of one.
	gap bool
	// line is the last line of this stream. leastLate is the least that a line was late: that is how
	// far the node's clock is behind.
	line      lineTimes
	leastLate time.Duration
}

// lineTimes are the time of a line by its node, and how much later it was read. The zero value is
// no line.
type lineTimes struct {
	at   time.Time
	late time.Duration
}

// ask is called before a stream is requested.
func (r *rotation) ask(now time.Time) { r.asked, r.seen, r.line = now, false, lineTimes{} }

// begin is called when a stream is open. last is the time of the last line read before, zero if
// none.
func (r *rotation) begin(now, last time.Time) {
	if r.opened.IsZero() {
		r.opened = now
	}
	// If the last line is recent enough, the kubelet has rotated the log at most once since.
	r.adjacent = r.drained && min(now.Sub(last), now.Sub(r.newest)) < RotationCheck-time.Second
	r.drained = false
}

// again is called for a line with the time of the last one read before: that line still existed.
func (r *rotation) again() { r.seen, r.newest = true, r.asked }

// next is called for each new line; before: an earlier stream has returned lines. It reports
// whether the line is the first of a file, and the file before was read to its end.
func (r *rotation) next(before bool) (follows bool) {
	r.gap = r.gap || before && !r.seen && !r.adjacent
	follows = before && !r.seen && r.adjacent
	r.again()
	return follows
}

// follow is called with the time of each line of a stream that follows the log. There is a gap if
// the kubelet may have rotated the log twice since the line before: there was time for that, which
// no line is from, and the line before was read so late that the next one had already been written.
// Otherwise the container just printed nothing.
func (r *rotation) follow(at, now time.Time) {
	const twice = RotationCheck - time.Second
	before, late := r.line, now.Sub(at)
	r.line = lineTimes{at, late}
	if r.leastLate == 0 || late < r.leastLate {
		r.leastLate = late
	}
	if before.at.IsZero() || now.Sub(r.asked) < twice {
		return
	}
	silent := at.Sub(before.at)
	r.gap = r.gap || silent >= twice && before.late-r.leastLate >= silent
}

// end is called when a stream that returned given bytes has ended; drained: it has read its whole
// file.
func (r *rotation) end(given int64, drained bool) { r.given, r.drained = given, drained }

// maybeRotated reports whether the last stream may have ended with a file that was rotated while it
// was read.
func (r *rotation) maybeRotated() bool { return r.given >= rotatable }

// late reports whether the first stream was opened so late that the first line may have been
// rotated away.
func (r *rotation) late(started time.Time) bool {
	return !started.IsZero() && !r.opened.IsZero() && r.opened.Sub(started) > RotationCheck
}
