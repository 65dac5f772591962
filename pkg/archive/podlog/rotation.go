package podlog

import "time"

const (
	// RotationCheck is how often the kubelet looks whether a log is to be rotated
	// (containerLogMonitorInterval): a line of a container's first seconds was certainly not
	// rotated away.
	RotationCheck = 10 * time.Second
	// rotatable is what a log has to have before it can be rotated, in bytes: by default it is ten
	// times as much.
	rotatable = 1 << 20
)

// rotation decides whether lines may be missing. The kubelet renames a log that is too large, keeps
// one that was renamed, and gives of both what is in the newer one; a stream that reads the older
// one goes on with that file to its end, and never comes to the next. So a log is read by one
// stream after another, and between two of them:
//
//	the second begins with the last line of the first, or later lines of its second: nothing is missing
//	the second begins with a line that is new, and the first had given all of its file a moment ago: that file was
//	rotated once since, and the second has the next one from its beginning
//	the second begins with a line that is new, and the first had not: there is a gap
//
// Times are this process's clock.
type rotation struct {
	// opened is when the first stream began.
	opened time.Time
	// asked is when the last stream was asked for; newest, when the last one was that had the last
	// line, or gave it: no file was newer then than the one with that line.
	asked, newest time.Time
	// drained says that the stream before has given all of the file that it read from, and then
	// nothing for a while; adjacent, that what this one begins with follows it; seen, that this one
	// had the last line that was read, or has given one since.
	drained, adjacent, seen bool
	// given is how many bytes the last stream gave that gave any.
	given int64
	// gap says that lines may be missing between two streams.
	gap bool
}

// ask is called before a stream is asked for.
func (r *rotation) ask(now time.Time) { r.asked, r.seen = now, false }

// begin is called when a stream is there. last is the time of the last line that was read before,
// zero if there is none.
func (r *rotation) begin(now, last time.Time) {
	if r.opened.IsZero() {
		r.opened = now
	}
	// The kubelet has rotated the log at most once since the file with the last line was the
	// newest, if that is not too long ago.
	r.adjacent = r.drained && min(now.Sub(last), now.Sub(r.newest)) < RotationCheck-time.Second
	r.drained = false
}

// again is called for a line with the time of the last one that was read before: it was there
// still.
func (r *rotation) again() { r.seen, r.newest = true, r.asked }

// next is called for each line that is new; before says that others were read by an earlier stream.
func (r *rotation) next(before bool) {
	r.gap = r.gap || before && !r.seen && !r.adjacent
	r.again()
}

// end is called when a stream has ended that gave given bytes; drained says that it has given all
// of its file.
func (r *rotation) end(given int64, drained bool) { r.given, r.drained = given, drained }

// maybeRotated says whether the last stream may have ended in a file that was rotated while it was
// read.
func (r *rotation) maybeRotated() bool { return r.given >= rotatable }

// late says whether the first stream was opened so late that the first line may have been rotated
// away.
func (r *rotation) late(started time.Time) bool {
	return !started.IsZero() && !r.opened.IsZero() && r.opened.Sub(started) > RotationCheck
}
