package podlog

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// What is done with a log once its stream has ended: by whoever archives the run, with Tail.use
// held, as the run may be forgotten at the same time.

// Finish reads the rest of the log of an ended container.
func (t *Tail) Finish(ctx context.Context) error {
	t.stop()
	<-t.done
	t.use.Lock()
	defer t.use.Unlock()
	if t.complete {
		return nil
	}
	defer t.close()
	if err := t.open(); err != nil {
		return err
	}
	switch err := t.read(ctx, false); {
	case apierrors.IsNotFound(err), errors.Is(err, errRemoved):
		t.podDeleted()
	case errors.Is(err, errSpoolFull):
		t.failure = spoolFull
	case err != nil:
		if t.begun || ctx.Err() == nil {
			t.failure = connectionBroke // should the pod be gone when this is tried again
		}
		return err
	default:
		t.failure = ""
		if err := t.settle(ctx); err != nil {
			return err
		}
		t.complete, t.full = true, false
	}
	return nil
}

// Prepare looks at a file left by an earlier process.
func (t *Tail) Prepare() error {
	if !t.Ended() {
		return nil
	}
	t.use.Lock()
	defer t.use.Unlock()
	if t.loaded {
		return nil
	}
	defer t.close()
	return t.open()
}

// Salvage reports whether there is something to read of a log that is Unusable, or was Full: the
// beginning, which may be all that is left.
func (t *Tail) Salvage() bool {
	if !t.Ended() {
		return false
	}
	t.use.Lock()
	defer t.use.Unlock()
	if t.broken {
		t.loaded = false // it is not known what has reached the disk
		err := t.open()
		t.close()
		if err != nil {
			return false
		}
	}
	return t.size > 0
}

// GiveUp ends the stream and records why the rest of the log, if there is one, will not be read.
func (t *Tail) GiveUp(reason string) {
	t.stop()
	<-t.done
	t.use.Lock()
	defer t.use.Unlock()
	if !t.complete {
		t.failure = reason
	}
}

// Full reports whether the spool had no room for more.
func (t *Tail) Full() bool {
	if !t.Ended() {
		return false
	}
	t.use.Lock()
	defer t.use.Unlock()
	return t.full
}

// Unusable reports whether the file is of no use, so that the log must be read from the kubelet.
func (t *Tail) Unusable() bool {
	if !t.Ended() {
		return false
	}
	t.use.Lock()
	defer t.use.Unlock()
	return t.broken || t.size == 0 && !t.complete
}

// Open returns what has been read, and the reason why it is not all, empty if it is.
func (t *Tail) Open() (io.ReadCloser, string, error) {
	reason := "the container still ran"
	if t.Ended() {
		reason = t.lacks()
	}
	file, err := os.Open(t.path)
	if err != nil {
		return nil, "", err
	}
	return file, reason, nil
}

// lacks returns the reason why a log whose stream has ended is not whole, empty if it is.
func (t *Tail) lacks() string {
	t.use.Lock()
	defer t.use.Unlock()
	switch {
	case t.broken:
		return spoolBroke
	case t.failure != "":
		return t.failure
	case !t.complete:
		return podDeletedEarly
	case t.rotation.gap:
		return "lines may be missing in the middle: the kubelet rotated the log faster than it could be read"
	case t.doubtful():
		return clockSetBack
	}
	return ""
}

// Late reports whether the first stream was opened so late that the first line may have been
// rotated away.
func (t *Tail) Late(started time.Time) bool {
	if !t.Ended() {
		return false // it is not whole in any case
	}
	t.use.Lock()
	defer t.use.Unlock()
	return t.rotation.late(started)
}
