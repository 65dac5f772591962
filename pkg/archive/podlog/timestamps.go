package podlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// Logs are read with a timestamp before each line. It tells where to continue after an
// interruption, and whether the kubelet still has the first line. The archive stores logs without
// them.

// stampSize is the most bytes that a timestamp and the space after it take:
// 2026-11-20T10:42:11.123456789+01:00.
const stampSize = 40

// ErrNoStamp says that the kubelet has returned a message instead of a log, with status 200.
var ErrNoStamp = errors.New("the kubelet has no log")

// errRemoved is ErrNoStamp for a whole stream: the kubelet has removed the container, as it does
// just before its pod disappears.
var errRemoved = errors.New("the container has been removed")

// cutStamp splits a line into its timestamp and the rest.
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

// Unstamped reads a log without its timestamps. Lines may be of any length.
type Unstamped struct {
	from *bufio.Reader
	// inLine: the rest of a line comes next.
	inLine bool
	rest   []byte
	// First and last are the times of the first and the last line.
	First, last time.Time
}

// NewUnstamped returns an Unstamped that reads from.
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

// next reads a line, or as much of it as fits into the buffer, which owns the bytes until the next
// call.
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
