package podlog

import (
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// errStalled is the error of a stream that was ended because it stayed silent; see streamDelays.
var errStalled = errors.New("nothing comes any more")

// stallReader ends a stream that has returned at least rotatable bytes and then nothing for a
// while.
type stallReader struct {
	from    io.Reader
	after   time.Duration
	timer   *time.Timer
	given   int64
	stalled atomic.Bool
}

func newStallReader(from io.Reader, after time.Duration, end func()) *stallReader {
	r := &stallReader{from: from, after: after}
	r.timer = time.AfterFunc(time.Hour, func() {
		r.stalled.Store(true)
		end()
	})
	r.timer.Stop()
	return r
}

func (r *stallReader) Read(p []byte) (int, error) {
	if r.given >= rotatable {
		r.timer.Reset(r.after)
		defer r.timer.Stop()
	}
	n, err := r.from.Read(p)
	r.given += int64(n)
	return n, err
}
