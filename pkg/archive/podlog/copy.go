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
		begins := len(line) > 0 && !inLine
		inLine = len(line) > 0 && line[len(line)-1] != '\n'
		if begins {
			var failed error
			if line, failed = t.beginLine(line, skip); failed != nil {
				return errors.Join(failed, to.Flush())
			}
			skipping = line == nil
		}
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

// beginLine is called with the beginning of each line of a stream. It returns what of it to append
// to the file, nil if the file has the line.
func (t *Tail) beginLine(line []byte, skip *skipper) ([]byte, error) {
	at, content, err := cutStamp(line)
	switch {
	case err != nil && !t.begun:
		return nil, fmt.Errorf("%w: %w", errRemoved, err)
	case err != nil:
		return nil, err
	}
	t.begun = true
	now := time.Now()
	if t.follows && t.size >= rotatable { // a smaller log is never rotated
		t.rotation.follow(at, now)
	}
	if at.Equal(skip.last) {
		t.rotation.again()
	}
	if skip.skips(at) {
		return nil, nil
	}
	t.doubt = t.doubt || skip.lost()
	partial := t.size > t.lineEnd
	repeats := partial && at.Equal(t.at.last)
	follows := t.rotation.next(!skip.last.IsZero() || partial && !repeats)
	switch {
	case repeats:
		err = t.dropPartialLine()
	case partial:
		line, err = t.afterPartialLine(line, content, follows)
	}
	if err != nil {
		return nil, t.spoolFailed(err)
	}
	t.startLine(at)
	t.heard = now
	return line, nil
}

// dropPartialLine removes the partial line at the end of the file, which a stream has repeated.
func (t *Tail) dropPartialLine() error {
	t.at = t.before
	t.addSpooled(t.lineEnd - t.size)
	t.size = t.lineEnd
	return errors.Join(t.file.Truncate(t.size), seekEnd(t.file))
}

// afterPartialLine is called with a line that comes after a partial one at the end of the file, and
// does not repeat it. It returns what of it to append.
//
// When the kubelet rotates a log, containerd cuts the line that is being written: the renamed file
// ends with its beginning, and the new one begins with its rest, which has a time of its own
// (redirectLogs in its internal/cri/io/logger.go). That rest is appended, and its time becomes that
// of the whole line: from there the next stream continues.
func (t *Tail) afterPartialLine(line, content []byte, follows bool) ([]byte, error) {
	stamp := line[:len(line)-len(content)]
	partial, err := t.stampOfPartialLine()
	if err != nil {
		return nil, err
	}
	if follows && len(partial) == len(stamp) {
		t.at = t.before
		_, err := t.file.WriteAt(stamp, t.lineEnd)
		return content, err
	}
	t.rotation.gap = true // what came between
	n, err := t.file.WriteString("\n")
	t.size += int64(n)
	t.addSpooled(int64(n))
	t.lineEnd = t.size
	return line, err
}

// stampOfPartialLine returns the timestamp of the partial line at the end of the file, with the
// space after it.
func (t *Tail) stampOfPartialLine() ([]byte, error) {
	begin := make([]byte, min(t.size-t.lineEnd, stampSize))
	if _, err := t.file.ReadAt(begin, t.lineEnd); err != nil {
		return nil, err
	}
	_, content, err := cutStamp(begin)
	return begin[:len(begin)-len(content)], err
}

// errSpoolFull ends a tail. The file stays; if it is not whole, the kubelet is asked when the run
// is finished.
var errSpoolFull = errors.New("too many bytes of logs wait in the spool")

// addSpooled counts bytes in the spool.
func (t *Tail) addSpooled(n int64) { t.follower.count(t.share, n) }

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

func seekEnd(file *os.File) error {
	_, err := file.Seek(0, io.SeekEnd)
	return err
}
