package podlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// copy appends the lines of a stream that the file does not have.
func (t *Tail) copy(stream io.Reader) error {
	from, to := bufio.NewReaderSize(stream, 32<<10), bufio.NewWriterSize(t.file, 32<<10)
	skip := skipper(t.afterLastLine())
	inLine, skipping := false, false
	for {
		line, err := from.ReadSlice('\n')
		if len(line) > 0 && !inLine {
			at, _, stampErr := cutStamp(line)
			if stampErr != nil && !t.begun {
				return fmt.Errorf("%w: %w", errRemoved, stampErr)
			}
			if stampErr != nil {
				return errors.Join(stampErr, to.Flush())
			}
			if err := t.startStream(); err != nil {
				return t.spoolFailed(err)
			}
			skipping = skip.skips(at)
			if at.Equal(skip.last) {
				t.rotation.again()
			}
			if !skipping {
				t.rotation.next(!skip.last.IsZero())
				t.startLine(at)
			}
		}
		inLine = len(line) > 0 && line[len(line)-1] != '\n'
		if !skipping {
			if err := t.append(to, line, inLine); errors.Is(err, errSpoolFull) {
				return errors.Join(err, to.Flush())
			} else if err != nil {
				return t.spoolFailed(err)
			}
		}
		if from.Buffered() == 0 {
			if err := to.Flush(); err != nil { // a crash would lose what is in memory
				return t.spoolFailed(err)
			}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// errSpoolFull ends a tail. The file stays; if it is not whole, the kubelet is asked when the run
// is finished.
var errSpoolFull = errors.New("too many bytes of logs wait in the spool")

// addSpooled counts bytes in the spool.
func (t *Tail) addSpooled(n int64) {
	t.follower.spooled.Add(n)
	t.share.spooled.Add(n)
}

func (t *Tail) append(to io.Writer, line []byte, inLine bool) error {
	if t.follower.spooled.Load() > MaxSpool || t.share.spooled.Load() > MaxSpool/2 {
		t.full = true
		return errSpoolFull
	}
	n, err := to.Write(line)
	t.size += int64(n)
	t.addSpooled(int64(n))
	if !inLine {
		t.lineEnd = t.size
	}
	return err
}

// skipper skips lines that are in the file: those before the time of its last line, and as many of
// that time as the file has.
type skipper struct {
	last time.Time
	same int
}

func (s *skipper) skips(at time.Time) bool {
	switch {
	case s.last.IsZero() || at.After(s.last):
		return false
	case at.Equal(s.last):
		if s.same == 0 {
			return false
		}
		s.same--
	}
	return true
}

// startStream is called with a stream's first line. It truncates a partial line at the end of the
// file, which the stream repeats.
func (t *Tail) startStream() error {
	first := !t.begun
	t.begun = true
	if !first || t.size == t.lineEnd {
		return nil
	}
	t.at = t.before
	t.addSpooled(t.lineEnd - t.size)
	t.size = t.lineEnd
	return errors.Join(t.file.Truncate(t.size), seekEnd(t.file))
}

func seekEnd(file *os.File) error {
	_, err := file.Seek(0, io.SeekEnd)
	return err
}
