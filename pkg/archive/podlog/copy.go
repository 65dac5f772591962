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
	skip := &skipper{mark: t.afterLastLine()}
	inLine, skipping := false, false
	for {
		line, err := from.ReadSlice('\n')
		if len(line) > 0 && !inLine {
			var failed error
			if skipping, failed = t.beginLine(line, skip); failed != nil {
				return errors.Join(failed, to.Flush())
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
			t.doubt = t.doubt || skip.lost()
			return nil
		case err != nil:
			return err
		}
	}
}

// beginLine is called with the beginning of each line of a stream. It reports whether the file has
// the line.
func (t *Tail) beginLine(line []byte, skip *skipper) (skipping bool, err error) {
	at, _, err := cutStamp(line)
	switch {
	case err != nil && !t.begun:
		return false, fmt.Errorf("%w: %w", errRemoved, err)
	case err != nil:
		return false, err
	}
	if err := t.startStream(); err != nil {
		return false, t.spoolFailed(err)
	}
	if at.Equal(skip.last) {
		t.rotation.again()
	}
	if skip.skips(at) {
		return true, nil
	}
	t.doubt = t.doubt || skip.lost()
	t.rotation.next(!skip.last.IsZero())
	t.startLine(at)
	t.heard = time.Now()
	return false, nil
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

// skipper skips lines that are in the file: those up to its last line, and as many of that one's
// time as the file has. What comes after them is new, whatever its time. If the kubelet has rotated
// the last line away, new lines are those that are later than any in the file.
type skipper struct {
	mark
	// met: the last line has come. past: all of its time have. skipped: others have been skipped.
	met, past, skipped bool
}

func (s *skipper) skips(at time.Time) bool {
	switch {
	case s.past, s.last.IsZero():
		return false
	case at.Equal(s.last) && s.same > 0:
		s.same--
		s.met = true
		return true
	case s.met, at.After(s.newest):
		s.past = true
		return false
	}
	s.skipped = true
	return true
}

// lost reports whether lines may have been skipped that are not in the file: without its last line
// among them, they may have come after it, at a time to which the node's clock was set back.
func (s *skipper) lost() bool { return s.skipped && !s.met }

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
