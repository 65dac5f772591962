package archiver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// copy appends the lines of a stream that the file has not.
func (t *tail) copy(stream io.Reader, adjacent bool) error {
	from, to := bufio.NewReaderSize(stream, 32<<10), bufio.NewWriterSize(t.file, 32<<10)
	whole := t.whole()
	skip := skipper{last: whole.last, same: whole.same}
	defer func() {
		if skip.seen {
			t.newest = t.asked
		}
	}()
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
			if err := t.begin(); err != nil {
				return t.spoolFailed(err)
			}
			skipping = skip.skips(at)
			if !skipping {
				t.gap = t.gap || !skip.seen && !adjacent && !skip.last.IsZero()
				skip.seen = true
				t.began(at)
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
			if err := to.Flush(); err != nil { // what waits in memory would be lost with the process
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

// errSpoolFull ends a tail: what it has stays, and of what is not in the file the kubelet is asked when the run is finished.
var errSpoolFull = errors.New("too many bytes of logs wait in the spool")

// takes counts bytes in the spool.
func (t *tail) takes(n int64) {
	t.follower.spooled.Add(n)
	t.share.spooled.Add(n)
}

// mark is a place between lines: the time of the line before it, and how many lines in a row have that.
type mark struct {
	last time.Time
	same int
}

// began notes the time of the line that comes next.
func (t *tail) began(at time.Time) {
	t.before = mark{t.last, t.same}
	if !at.Equal(t.last) {
		t.same = 0
	}
	t.last, t.same = at, t.same+1
}

func (t *tail) append(to io.Writer, line []byte, inLine bool) error {
	if t.follower.spooled.Load() > MaxSpool || t.share.spooled.Load() > MaxSpool/2 {
		t.full = true
		return errSpoolFull
	}
	n, err := to.Write(line)
	t.size += int64(n)
	t.takes(int64(n))
	if !inLine {
		t.lineEnd = t.size
	}
	return err
}

// skipper leaves out lines of an earlier reading: all before the last one's time, and as many of that time as there were.
type skipper struct {
	last time.Time
	same int
	// seen says that the last line of the earlier reading was there: what follows follows it.
	seen bool
}

func (s *skipper) skips(at time.Time) bool {
	switch {
	case s.last.IsZero() || at.After(s.last):
		return false
	case at.Equal(s.last):
		if s.seen = true; s.same == 0 {
			return false
		}
		s.same--
	}
	return true
}

// whole is the place behind the last whole line of the file.
func (t *tail) whole() mark {
	if t.size == t.lineEnd {
		return mark{t.last, t.same}
	}
	return t.before
}

// begin takes away, with a stream's first line, the part of a line at the end of the file: it comes again.
func (t *tail) begin() error {
	first := !t.begun
	t.begun = true
	if !first || t.size == t.lineEnd {
		return nil
	}
	t.last, t.same = t.before.last, t.before.same
	t.takes(t.lineEnd - t.size)
	t.size = t.lineEnd
	return errors.Join(t.file.Truncate(t.size), seekEnd(t.file))
}

func seekEnd(file *os.File) error {
	_, err := file.Seek(0, io.SeekEnd)
	return err
}
