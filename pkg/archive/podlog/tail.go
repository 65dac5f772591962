package podlog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// streamPauses are how long a stream is left alone that broke, and one that ended while the
// container, as far as the API server knows, goes on; replacement, how long a sidecar that ended is
// given to have the other image that ended it; stall is after how long without a line a stream is
// opened anew that has given much: a kubelet that still reads from the beginning when it rotates
// the log goes on with the file that it has, and never comes to the next one.
type streamPauses struct{ broken, ended, replacement, stall time.Duration }

var defaultPauses = streamPauses{broken: time.Second, ended: 300 * time.Millisecond, replacement: 5 * time.Second,
	stall: 1500 * time.Millisecond}

// spoolFull is why a log may lack its end.
const spoolFull = "too many logs waited to be archived when it was written"

// podGone is another reason.
const podGone = "the pod was gone before the end of its log was read"

// Tail is one container's log, read as it grows, with timestamps, into a file. run owns all fields
// until done is closed; after that, whoever archives the run does.
type Tail struct {
	follower  *Follower
	namespace string
	key       Key
	path      string
	ctx       context.Context //nolint:containedctx // it ends with the run, not with a call
	stop      context.CancelFunc
	done      chan struct{}

	file *os.File
	written
	rotation rotation
	// begun says that the stream has given a line.
	begun bool
	// complete says that the container has ended and all of its log is in the file. failure says
	// why it is not, for people.
	complete bool
	failure  string
	// broken says that the spool failed: what is in the file is of no use. full, that there was no
	// room for more: it may lack its end.
	broken, full bool
	share        *share
	// refused counts the readings in a row that the kubelet has refused.
	refused int
}

// maxRefused is after how many refusals in a row nobody asks again: there is no such container, or
// never was.
const maxRefused = 20

// newTail is called with the follower's lock held.
func newTail(f *Follower, namespace string, key Key) *Tail {
	t := &Tail{follower: f, namespace: namespace, key: key, path: filepath.Join(f.spool, key.file()),
		done: make(chan struct{}), share: f.share(namespace)}
	t.ctx, t.stop = context.WithCancel(f.ctx)
	return t
}

// run follows until the container has ended, the pod is gone, or nobody wants it any more.
func (t *Tail) run() {
	if err := t.load(); err != nil {
		_ = t.spoolFailed(err)
		return
	}
	for t.ctx.Err() == nil && !t.broken {
		err := t.read(t.ctx, true)
		pause := t.follower.pauses.ended
		if t.refused++; !apierrors.IsBadRequest(err) {
			t.refused = 0
		}
		switch {
		case errors.Is(err, errStalled):
			t.failure = ""
			continue
		case errors.Is(err, errSpoolFull):
			t.failure = spoolFull
			return
		case apierrors.IsNotFound(err):
			t.gone()
			return
		case apierrors.IsBadRequest(err) && t.refused >= maxRefused:
			t.failure = podGone
			return
		case err == nil && t.containerEnded():
			t.end()
			return
		case errors.Is(err, errRemoved), err != nil && !t.begun && t.ctx.Err() != nil:
			pause = t.follower.pauses.broken // how the stream before ended says whether that is all
		case err != nil:
			t.failure = "the connection to the kubelet broke"
			pause = t.follower.pauses.broken
		default:
			t.failure = ""
		}
		select {
		case <-time.After(pause):
		case <-t.ctx.Done():
		}
	}
}

// end decides about a stream that ended with its container. One that has given much may have ended
// in a file that was rotated while it was read: what the kubelet has beyond that is read as well.
func (t *Tail) end() {
	t.failure = ""
	if t.rotation.maybeRotated() {
		if err := t.read(t.ctx, false); err != nil {
			t.failure = podGone
			return
		}
	}
	t.complete = true
}

// gone decides about a log whose pod is not there any more. One whose stream ended in order before
// that, and has not given so much that it may have ended in a file that was rotated, is whole: the
// kubelet ends it with the container.
func (t *Tail) gone() {
	if t.size > 0 && t.failure == "" && !t.rotation.maybeRotated() {
		t.complete = true
		return
	}
	t.failure = podGone
}

// containerEnded asks for the container's state: a stream that ends may have been cut off. A
// sidecar's ends before the kubelet has put what follows in its place, and to read on would be to
// read that one's log.
func (t *Tail) containerEnded() bool {
	for began := time.Now(); ; {
		state, err := t.state(t.ctx)
		switch {
		case err != nil, state == nil:
			return false
		case state.Terminated != nil: // by itself, if it is not final: what has ended is not replaced
			return true
		case run.IsStep(t.key.Container) || time.Since(began) > t.follower.pauses.replacement:
			return false
		}
		select {
		case <-time.After(t.follower.pauses.ended):
		case <-t.ctx.Done():
			return false
		}
	}
}

// state returns the container's as the API server knows it.
func (t *Tail) state(ctx context.Context) (*run.State, error) {
	pod, err := t.follower.kube.CoreV1().Pods(t.namespace).Get(ctx, t.key.Pod, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return run.StateOf(pod, t.key.Container), nil
}

// Finish reads what the kubelet has beyond the file, of a container that has ended.
func (t *Tail) Finish(ctx context.Context) error {
	t.stop()
	<-t.done
	if t.complete {
		return nil
	}
	if err := t.Prepare(); err != nil {
		return err
	}
	switch err := t.read(ctx, false); {
	case apierrors.IsNotFound(err), errors.Is(err, errRemoved):
		t.gone()
	case errors.Is(err, errSpoolFull):
		t.failure = spoolFull
	case err != nil:
		return err
	default:
		t.complete, t.failure = true, ""
	}
	return nil
}

// Await gives the stream of a pod that is gone the time to end by itself, and ends it then.
func (t *Tail) Await(ctx context.Context, timeout time.Duration) {
	t.Settle(ctx, timeout)
	t.stop()
	<-t.done
}

// Prepare makes a file of an earlier process readable to its end.
func (t *Tail) Prepare() error {
	if !t.Ended() || t.file != nil {
		return nil
	}
	return t.load()
}

// Settle gives the stream the time to end by itself.
func (t *Tail) Settle(ctx context.Context, timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Ended says whether the stream has ended.
func (t *Tail) Ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// GiveUp says why the rest of the log will not be read.
func (t *Tail) GiveUp(reason string) { t.failure = reason }

// Full says that there was no room in the spool for more.
func (t *Tail) Full() bool { return t.full }

// Unusable says whether the log must be had elsewhere.
func (t *Tail) Unusable() bool { return t.Ended() && (t.broken || t.size == 0 && !t.complete) }

// Open returns what has been read, and why it is not all, if it is not.
func (t *Tail) Open() (io.ReadCloser, string, error) {
	reason := "the container still ran"
	if t.Ended() {
		reason = t.failure
		if !t.complete && reason == "" {
			reason = podGone
		}
	}
	if t.Ended() && t.rotation.gap && reason == "" {
		reason = "lines may be missing in the middle: the kubelet rotated the log faster than it could be read"
	}
	file, err := os.Open(t.path)
	if err != nil {
		return nil, "", err
	}
	return file, reason, nil
}

// Late says whether the first stream was opened so late that the first line may have been rotated
// away.
func (t *Tail) Late(started time.Time) bool {
	return t.rotation.late(started)
}

// read reads the log from where the file ends. With follow it goes on until the container has
// ended, or the stream breaks.
func (t *Tail) read(ctx context.Context, follow bool) error {
	options := &corev1.PodLogOptions{Container: t.key.Container, Follow: follow, Timestamps: true}
	if last := t.whole().last; !last.IsZero() {
		since := metav1.NewTime(last) // whole seconds: what is in the file already is left out below
		options.SinceTime = &since
	}
	if !run.IsStep(t.key.Container) {
		state, err := t.state(ctx)
		if err != nil {
			return err
		}
		if state != nil && state.Replaced {
			options.Previous, options.Follow = true, false
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.begun = false
	t.rotation.ask(time.Now())
	stream, err := t.follower.kube.CoreV1().Pods(t.namespace).GetLogs(t.key.Pod, options).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	t.rotation.begin(time.Now(), t.whole().last)
	watched := newStallReader(stream, t.follower.pauses.stall, cancel)
	err = t.copy(watched)
	if err == nil || t.begun {
		t.rotation.end(watched.given, watched.stalled.Load())
	}
	if watched.stalled.Load() {
		return errStalled
	}
	return err
}

// load opens the file, and finds out where an earlier process has stopped.
func (t *Tail) load() error {
	file, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	t.file, t.size = file, 0
	lines, inLine := bufio.NewReaderSize(file, 64<<10), false
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 && !inLine {
			at, _, err := cutStamp(line)
			if err != nil {
				t.before = t.at // of a line that was cut off within its timestamp
				break
			}
			t.began(at)
		}
		inLine = len(line) > 0 && line[len(line)-1] != '\n'
		t.size += int64(len(line))
		if !inLine {
			t.lineEnd = t.size
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if t.size < info.Size() { // what is cut off within its timestamp is no part of a line
		t.takes(t.size - info.Size())
		if err := file.Truncate(t.size); err != nil {
			return err
		}
	}
	return seekEnd(file)
}

func (t *Tail) spoolFailed(err error) error {
	t.broken = true
	t.follower.log.Error(err, "A log cannot be followed: it will be read when its run is finished", "pod", t.key.Pod,
		"container", t.key.Container)
	return fmt.Errorf("spool: %w", err)
}

// close closes the file.
func (t *Tail) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}
