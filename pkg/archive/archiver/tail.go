package archiver

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
)

// streamPauses are how long a stream is left alone that broke, and one that ended while the container, as far as the API server
// knows, goes on; replacement, how long a sidecar that ended is given to have the other image that ended it; stall is after how long without a line a stream is opened anew that has given much: a kubelet that still reads from the
// beginning when it rotates the log goes on with the file that it has, and never comes to the next one.
type streamPauses struct{ broken, ended, replacement, stall time.Duration }

var defaultPauses = streamPauses{broken: time.Second, ended: 300 * time.Millisecond, replacement: 5 * time.Second, stall: 1500 * time.Millisecond}

// rotatable is what a stream has to give for that, in bytes: the kubelet rotates after ten times as much by default.
const rotatable = 1 << 20

// spoolFull is why a log may lack its end.
const spoolFull = "too many logs waited to be archived when it was written"

// podGone is another reason.
const podGone = "the pod was gone before the end of its log was read"

// tail is one container's log, read as it grows, with timestamps, into a file. run owns all fields until done is closed; after
// that, whoever archives the run does.
type tail struct {
	follower  *follower
	namespace string
	key       tailKey
	path      string
	ctx       context.Context //nolint:containedctx // it ends with the run, not with a call
	stop      context.CancelFunc
	done      chan struct{}

	file *os.File
	// size is the file's, lineEnd where its last whole line ends.
	size, lineEnd int64
	// last is the time of the last whole line, same how many lines before it, and itself, have that time.
	last time.Time
	same int
	// before is what last and same were before the last line that began: it may not be whole.
	before mark
	// opened is when the first stream was.
	opened time.Time
	// asked is when the last stream was asked for; newest, when the last one was that had the last line, or gave it: no file was
	// newer then than the one with that line.
	asked, newest time.Time
	// drained says that the stream before has given all of the file that it read from, and then nothing for a while.
	drained bool
	// begun says that the stream has given a line, given how many bytes the last one gave that did.
	begun bool
	given int64
	// gap says that lines may be missing between two streams: the kubelet has rotated the file that the first one read.
	gap bool
	// complete says that the container has ended and all of its log is in the file. failure says why it is not, for people.
	complete bool
	failure  string
	// broken says that the spool failed: what is in the file is of no use. full, that there was no room for more: it may lack its end.
	broken, full bool
	share        *share
	// refused counts the readings in a row that the kubelet has refused.
	refused int
}

// maxRefused is after how many refusals in a row nobody asks again: there is no such container, or never was.
const maxRefused = 20

// newTail is called with the follower's lock held.
func newTail(f *follower, namespace string, key tailKey) *tail {
	t := &tail{follower: f, namespace: namespace, key: key, path: filepath.Join(f.spool, key.file()), done: make(chan struct{}), share: f.share(namespace)}
	t.ctx, t.stop = context.WithCancel(f.ctx)
	return t
}

// run follows until the container has ended, the pod is gone, or nobody wants it any more.
func (t *tail) run() {
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
			t.drained, t.failure = true, ""
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

// end decides about a stream that ended with its container. One that has given much may have ended in a file that was rotated
// while it was read: what the kubelet has beyond that is read as well.
func (t *tail) end() {
	t.failure = ""
	if t.given >= rotatable {
		if err := t.read(t.ctx, false); err != nil {
			t.failure = podGone
			return
		}
	}
	t.complete = true
}

// gone decides about a log whose pod is not there any more. One whose stream ended in order before that, and has not given so much
// that it may have ended in a file that was rotated, is whole: the kubelet ends it with the container.
func (t *tail) gone() {
	if t.size > 0 && t.failure == "" && t.given < rotatable {
		t.complete = true
		return
	}
	t.failure = podGone
}

// containerEnded asks for the container's state: a stream that ends may have been cut off. A sidecar's ends before the kubelet has put what
// follows in its place, and to read on would be to read that one's log.
func (t *tail) containerEnded() bool {
	for began := time.Now(); ; {
		state, err := t.state(t.ctx)
		switch {
		case err != nil, state == nil:
			return false
		case state.Terminated != nil: // by itself, if it is not final: what has ended is not replaced
			return true
		case isStep(t.key.container) || time.Since(began) > t.follower.pauses.replacement:
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
func (t *tail) state(ctx context.Context) (*containerState, error) {
	pod, err := t.follower.kube.CoreV1().Pods(t.namespace).Get(ctx, t.key.pod, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return stateOf(pod, t.key.container), nil
}

// finish reads what the kubelet has beyond the file, of a container that has ended.
func (t *tail) finish(ctx context.Context) error {
	t.stop()
	<-t.done
	if t.complete {
		return nil
	}
	if err := t.prepare(); err != nil {
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

// await gives the stream of a pod that is gone the time to end by itself, and ends it then.
func (t *tail) await(ctx context.Context, timeout time.Duration) {
	t.settle(ctx, timeout)
	t.stop()
	<-t.done
}

// prepare makes a file of an earlier process readable to its end.
func (t *tail) prepare() error {
	if !t.ended() || t.file != nil {
		return nil
	}
	return t.load()
}

// settle gives the stream the time to end by itself.
func (t *tail) settle(ctx context.Context, timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ended says whether the stream has ended.
func (t *tail) ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// unusable says whether the log must be had elsewhere.
func (t *tail) unusable() bool { return t.ended() && (t.broken || t.size == 0 && !t.complete) }

// open returns what has been read, and why it is not all, if it is not.
func (t *tail) open() (io.ReadCloser, string, error) {
	reason := "the container still ran"
	if t.ended() {
		reason = t.failure
		if !t.complete && reason == "" {
			reason = podGone
		}
	}
	if t.ended() && t.gap && reason == "" {
		reason = "lines may be missing in the middle: the kubelet rotated the log faster than it could be read"
	}
	file, err := os.Open(t.path)
	if err != nil {
		return nil, "", err
	}
	return file, reason, nil
}

// late says whether the first stream was opened so late that the first line may have been rotated away.
func (t *tail) late(started time.Time) bool {
	return !started.IsZero() && !t.opened.IsZero() && t.opened.Sub(started) > rotationCheck
}

// read reads the log from where the file ends. With follow it goes on until the container has ended, or the stream breaks.
func (t *tail) read(ctx context.Context, follow bool) error {
	options := &corev1.PodLogOptions{Container: t.key.container, Follow: follow, Timestamps: true}
	if last := t.whole().last; !last.IsZero() {
		since := metav1.NewTime(last) // whole seconds: what is in the file already is left out below
		options.SinceTime = &since
	}
	if !isStep(t.key.container) {
		state, err := t.state(ctx)
		if err != nil {
			return err
		}
		if state != nil && state.replaced {
			options.Previous, options.Follow = true, false
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.asked, t.begun = time.Now(), false
	stream, err := t.follower.kube.CoreV1().Pods(t.namespace).GetLogs(t.key.pod, options).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	if t.opened.IsZero() {
		t.opened = time.Now()
	}
	// The kubelet has rotated the log at most once since the file with the last line was the newest, if that is not too long ago.
	adjacent := t.drained && min(time.Since(t.whole().last), time.Since(t.newest)) < rotationCheck-time.Second
	t.drained = false
	watched := newStallReader(stream, t.follower.pauses.stall, cancel)
	err = t.copy(watched, adjacent)
	if err == nil || t.begun {
		t.given = watched.given
	}
	if watched.stalled.Load() {
		return errStalled
	}
	return err
}

// load opens the file, and finds out where an earlier process has stopped.
func (t *tail) load() error {
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
				t.before = mark{t.last, t.same} // of a line that was cut off within its timestamp
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

func (t *tail) spoolFailed(err error) error {
	t.broken = true
	t.follower.log.Error(err, "A log cannot be followed: it will be read when its run is finished", "pod", t.key.pod, "container", t.key.container)
	return fmt.Errorf("spool: %w", err)
}

// close closes the file.
func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}
