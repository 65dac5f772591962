package podlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// A stream continues where the last one ended by the time of the last line. If the clock of the
// node is set back, lines that come after that one have earlier times, and the kubelet leaves them
// out. position.since asks from an earlier time on where that is to be expected; what is noticed
// afterwards is mended by reading the whole log once more, without a time.

// clockSetBack is the reason of a log that could not be read once more.
const clockSetBack = "lines may be missing: the node's clock was set back while the log was read"

// noteEnd records when the container ended.
func (t *Tail) noteEnd(state *run.State) {
	if state != nil && state.Terminated != nil {
		t.finished = state.Terminated.FinishedAt.Time
	}
}

// doubtful reports whether lines may have been left out because the node's clock was set back: a
// stream has noticed it, or the container ended before it wrote its last line. Its end is known in
// whole seconds.
func (t *Tail) doubtful() bool {
	early := !t.finished.IsZero() && t.finished.Add(time.Second).Before(t.at.last)
	return t.resumed && (t.doubt || early)
}

// settle reads the whole log of an ended container once more if lines may have been left out. If
// that does not bring all of it, the doubts stay.
func (t *Tail) settle(ctx context.Context) error {
	if !t.doubtful() {
		return nil
	}
	again := &Tail{follower: t.follower, namespace: t.namespace, key: t.key, path: t.path + againSuffix, share: t.share}
	file, err := os.OpenFile(again.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make a file to read the log again: %w", err)
	}
	again.file = file
	err = again.read(ctx, false)
	switch {
	case err == nil && again.contains(t):
		if err = os.Rename(again.path, t.path); err == nil {
			t.replaceBy(again)
			return nil
		}
	case apierrors.IsNotFound(err), errors.Is(err, errRemoved), errors.Is(err, errSpoolFull):
		err = nil
	}
	again.close()
	again.addSpooled(-again.size)
	return errors.Join(err, os.Remove(again.path))
}

// againSuffix is of files that replace a log when they are whole.
const againSuffix = ".again"

// replaceBy makes what was read once more this log.
func (t *Tail) replaceBy(again *Tail) {
	t.close()
	t.addSpooled(-t.size)
	t.file, t.position = again.file, again.position
	t.resumed, t.doubt, t.rotation.gap = false, false, false
}

// contains reports whether a log begins as another one does and is not shorter. Otherwise the
// kubelet has rotated its beginning away, and the other one is better than nothing.
func (t *Tail) contains(other *Tail) bool {
	mine, err := firstLine(t.path)
	if err != nil || t.size < other.size {
		return false
	}
	its, err := firstLine(other.path)
	return err == nil && bytes.Equal(mine, its)
}

// firstLine returns a file's first line, or as much of it as tells it from others.
func firstLine(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	begin, err := io.ReadAll(io.LimitReader(file, 4<<10))
	line, _, _ := bytes.Cut(begin, []byte{'\n'})
	return line, err
}
