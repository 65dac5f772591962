package podlog

import (
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// errStalled is the error of a stream that was ended because nothing came any more; see
// streamPauses.
var errStalled = errors.New("nothing comes any more")

// stallReader ends a stream that has given much and then gives nothing for a while.
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
