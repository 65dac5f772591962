package podlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// Logs are read with a timestamp before each line, which tells where to go on after an
// interruption, and whether the kubelet still has the first line. The archive has them without.

// stampSize is what a timestamp and the space after it take at most:
// 2026-11-20T10:42:11.123456789+01:00.
const stampSize = 40

// ErrNoStamp is what the kubelet says instead of a log, with the status of a success.
var ErrNoStamp = errors.New("the kubelet has no log")

// errRemoved is errNoStamp of all that there is: the kubelet has removed the container, a moment
// before its pod is gone.
var errRemoved = errors.New("the container has been removed")

// cutStamp returns the timestamp that a line begins with, and what follows it.
func cutStamp(line []byte) (time.Time, []byte, error) {
	stamp, _, ok := bytes.Cut(line[:min(len(line), stampSize)], []byte{' '})
	if !ok {
		return time.Time{}, nil, fmt.Errorf("%w: a line begins without a timestamp", ErrNoStamp)
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("%w: a line begins with something else than a timestamp", ErrNoStamp)
	}
	return at, line[len(stamp)+1:], nil
}

// Unstamped gives a log without its timestamps. Lines may be of any length.
type Unstamped struct {
	from *bufio.Reader
	// inLine says that the rest of a line comes next.
	inLine bool
	rest   []byte
	// First is the first line's time, last the last's.
	First, last time.Time
}

// NewUnstamped makes an Unstamped.
func NewUnstamped(from io.Reader) *Unstamped {
	return &Unstamped{from: bufio.NewReaderSize(from, 64<<10)}
}

// Read implements io.Reader.
func (u *Unstamped) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(u.rest) == 0 {
			if n > 0 && u.from.Buffered() == 0 {
				return n, nil
			}
			if err := u.next(); err != nil {
				if n > 0 && errors.Is(err, io.EOF) {
					err = nil
				}
				return n, err
			}
		}
		copied := copy(p[n:], u.rest)
		n, u.rest = n+copied, u.rest[copied:]
	}
	return n, nil
}

// next reads a line, or as much of it as the buffer takes. The bytes are the buffer's, until the
// next call.
func (u *Unstamped) next() error {
	line, err := u.from.ReadSlice('\n')
	if len(line) == 0 || err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return err
	}
	ends := line[len(line)-1] == '\n'
	if !u.inLine {
		if u.last, line, err = cutStamp(line); err != nil {
			return err
		}
		if u.First.IsZero() {
			u.First = u.last
		}
	}
	u.inLine = !ends
	u.rest = line
	return nil
}
