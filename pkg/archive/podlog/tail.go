package podlog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// streamDelays are delays before the next stream: after one that broke, and after one that ended
// although the API server says the container runs. replacement is how long to wait for a sidecar
// that ended to be replaced by the image that stops it. stall is after what silence a long stream
// is reopened: one that was still reading the log's beginning when the kubelet rotated it continues
// with the old file and never gets to the new one. silence is Silence.
type streamDelays struct{ broken, ended, replacement, stall, silence time.Duration }

var defaultDelays = streamDelays{broken: time.Second, ended: 300 * time.Millisecond, replacement: 5 * time.Second,
	stall: 1500 * time.Millisecond, silence: Silence}

// spoolFull and podDeletedEarly are reasons why a log may lack its end.
const spoolFull = "too many logs waited to be archived when it was written"

const podDeletedEarly = "the pod was gone before the end of its log was read"

const connectionBroke = "the connection to the kubelet broke"

// Tail is one container's log, read into a file, with timestamps, while it is written. run owns all
// fields until done is closed; after that, whoever archives the run does.
type Tail struct {
	follower  *Follower
	namespace string
	key       Key
	path      string
	ctx       context.Context //nolint:containedctx // it ends with the run, not with a call
	stop      context.CancelFunc
	done      chan struct{}

	// file is open while a stream is read: a run may wait long until it is archived. loaded: position
	// is the file's.
	file   *os.File
	loaded bool
	position
	rotation rotation
	// resumed: a stream continued where an earlier one ended. doubt: it may have left out lines.
	// finished is when the container ended, zero if that is unknown. See clock.go.
	resumed, doubt bool
	finished       time.Time
	// checked: this process has opened a stream of the run's own pod.
	checked atomic.Bool
	// begun: the current stream has returned a line.
	begun bool
	// complete: the container has ended and all of its log is in the file. failure is the reason
	// why not.
	complete bool
	failure  string
	// broken: writing the spool failed, and the file is useless. full: the spool had no room, and
	// the file may lack its end.
	broken, full bool
	// adopted: the namespace's share has what an earlier process has left in the file.
	adopted bool
	share   *share
	// refused counts consecutive requests that the kubelet has refused.
	refused int
}

// maxRefused is after how many refusals to give up: there is no such container.
const maxRefused = 20

// newTail is called with the Follower's lock held.
func newTail(f *Follower, namespace string, key Key) *Tail {
	t := &Tail{follower: f, namespace: namespace, key: key, path: filepath.Join(f.spool, key.file()),
		done: make(chan struct{}), share: f.share(namespace)}
	t.ctx, t.stop = context.WithCancel(f.ctx)
	return t
}

// run follows the log until the container has ended, the pod is deleted, or the run is forgotten.
func (t *Tail) run() {
	defer t.close()
	if err := t.open(); err != nil {
		_ = t.spoolFailed(err)
		return
	}
	for t.ctx.Err() == nil && !t.broken {
		err := t.read(t.ctx, true)
		delay := t.follower.delays.ended
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
			t.podDeleted()
			return
		case apierrors.IsBadRequest(err) && t.refused >= maxRefused:
			t.failure = podDeletedEarly
			return
		case err == nil && t.containerEnded():
			t.containerDone()
			return
		case errors.Is(err, errRemoved), err != nil && !t.begun && t.ctx.Err() != nil:
			delay = t.follower.delays.broken // keeps the previous stream's failure
		case err != nil:
			t.failure = connectionBroke
			delay = t.follower.delays.broken
		default:
			t.failure = ""
		}
		select {
		case <-time.After(delay):
		case <-t.ctx.Done():
		}
	}
}

// containerDone is called when a stream has ended with its container. A long one may have ended
// with a file that was rotated meanwhile, so the rest is read as well.
func (t *Tail) containerDone() {
	t.failure = ""
	if t.rotation.maybeRotated() {
		if err := t.read(t.ctx, false); err != nil {
			t.failure = podDeletedEarly
			return
		}
	}
	if err := t.settle(t.ctx); err != nil {
		t.failure = connectionBroke
		return
	}
	t.complete = true
}

// podDeleted is called when the pod no longer exists. The log is whole if its stream had ended
// regularly before, as it does with the container, and was not so long that it may have ended with
// a rotated file.
func (t *Tail) podDeleted() {
	if t.size > 0 && t.failure == "" && !t.rotation.maybeRotated() {
		t.complete = true
		return
	}
	t.failure = podDeletedEarly
}

// containerEnded reads the container's state, as a stream may end because it was cut off. A
// sidecar's stream ends before the kubelet has replaced the container: reading on would read the
// replacement's log.
func (t *Tail) containerEnded() bool {
	for began := time.Now(); ; {
		pod, err := t.pod(t.ctx)
		state := run.StateOf(pod, t.key.Container)
		t.noteEnd(state)
		switch {
		case err != nil, state == nil:
			return false
		case state.Terminated != nil: // even if not final: a sidecar that ended by itself is not replaced
			return true
		case run.IsStep(t.key.Container) || time.Since(began) > t.follower.delays.replacement:
			return false
		}
		select {
		case <-time.After(t.follower.delays.ended):
		case <-t.ctx.Done():
			return false
		}
	}
}

// pod returns the run's pod according to the API server. A pod of that name that the run does not
// control counts as none: its log is somebody else's.
func (t *Tail) pod(ctx context.Context) (*corev1.Pod, error) {
	return run.GetPod(ctx, t.follower.kube, t.namespace, t.key.Pod, t.key.Run)
}

// Finish reads the rest of the log of an ended container.
func (t *Tail) Finish(ctx context.Context) error {
	t.stop()
	<-t.done
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
		t.complete = true
	}
	return nil
}

// AwaitEndAndStop waits for the stream of a deleted pod to end, for timeout at most, and then ends
// it.
func (t *Tail) AwaitEndAndStop(ctx context.Context, timeout time.Duration) {
	t.AwaitEnd(ctx, timeout)
	t.stop()
	<-t.done
}

// Prepare looks at a file left by an earlier process.
func (t *Tail) Prepare() error {
	if !t.Ended() || t.loaded {
		return nil
	}
	defer t.close()
	return t.open()
}

// AwaitEnd waits for the stream to end, for timeout at most.
func (t *Tail) AwaitEnd(ctx context.Context, timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Ended reports whether the stream has ended.
func (t *Tail) Ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// GiveUp ends the stream and records why the rest of the log, if there is one, will not be read.
func (t *Tail) GiveUp(reason string) {
	t.stop()
	<-t.done
	if !t.complete {
		t.failure = reason
	}
}

// Checked reports whether this process has seen that the log is of the run's own pod.
func (t *Tail) Checked() bool { return t.checked.Load() }

// Full reports whether the spool had no room for more.
func (t *Tail) Full() bool { return t.full }

// Unusable reports whether the file is of no use, so that the log must be read from the kubelet.
func (t *Tail) Unusable() bool { return t.Ended() && (t.broken || t.size == 0 && !t.complete) }

// Open returns what has been read, and the reason why it is not all, empty if it is.
func (t *Tail) Open() (io.ReadCloser, string, error) {
	reason := "the container still ran"
	if t.Ended() {
		reason = t.failure
		if !t.complete && reason == "" {
			reason = podDeletedEarly
		}
	}
	if t.Ended() && t.rotation.gap && reason == "" {
		reason = "lines may be missing in the middle: the kubelet rotated the log faster than it could be read"
	}
	if t.Ended() && t.doubtful() && reason == "" {
		reason = clockSetBack
	}
	file, err := os.Open(t.path)
	if err != nil {
		return nil, "", err
	}
	return file, reason, nil
}

// Late reports whether the first stream was opened so late that the first line may have been
// rotated away.
func (t *Tail) Late(started time.Time) bool {
	return t.rotation.late(started)
}

// read reads the log from where the file ends. With follow it continues until the container has
// ended or the stream breaks.
func (t *Tail) read(ctx context.Context, follow bool) error {
	t.begun = false
	pod, err := t.pod(ctx) // before each stream: another pod may have the name by now
	if err != nil {
		return err
	}
	state := run.StateOf(pod, t.key.Container)
	t.noteEnd(state)
	options := t.options(state, follow)
	t.rotation.ask(time.Now())
	stream, err := open(ctx, t.follower.kube, pod, options, t.patience(options))
	if err != nil {
		return err
	}
	defer stream.Close()
	t.checked.Store(true)
	t.rotation.begin(time.Now(), t.afterLastLine().last)
	err = t.copy(stream)
	if err == nil || t.begun {
		t.rotation.end(stream.given, errors.Is(err, errStalled))
	}
	return err
}

func (t *Tail) options(state *run.State, follow bool) *corev1.PodLogOptions {
	options := &corev1.PodLogOptions{Container: t.key.Container, Follow: follow, Timestamps: true}
	if t.resumed = !t.afterLastLine().last.IsZero(); t.resumed {
		since := metav1.NewTime(t.since()) // in whole seconds: copy skips what the file has
		options.SinceTime = &since
	}
	if state != nil && state.Replaced {
		options.Previous, options.Follow = true, false
	}
	return options
}

// patience is how long a stream may be silent: one that follows for ever, until it is so long that
// it may read a rotated file.
func (t *Tail) patience(options *corev1.PodLogOptions) patience {
	if options.Follow {
		return patience{from: rotatable, silence: t.follower.delays.stall, err: errStalled}
	}
	return patience{silence: t.follower.delays.silence, err: ErrSilent}
}

// open opens the file at its end.
func (t *Tail) open() (err error) {
	flags := os.O_RDWR
	if !t.loaded {
		flags |= os.O_CREATE
	}
	if t.file, err = os.OpenFile(t.path, flags, 0o600); err != nil {
		return err
	}
	if !t.loaded {
		if err := t.load(t.file); err != nil {
			return err
		}
		t.loaded = true
	}
	return seekEnd(t.file)
}

// load finds the position where an earlier process stopped.
func (t *Tail) load(file *os.File) error {
	t.position = position{}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	t.adopt(info.Size())
	lines, inLine := bufio.NewReaderSize(file, 64<<10), false
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 && !inLine {
			at, _, err := cutStamp(line)
			if err != nil {
				t.before = t.at // the line is cut off within its timestamp
				break
			}
			t.startLine(at)
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
			t.size = info.Size() // what remove takes from the spool
			return err
		}
	}
	t.heard = info.ModTime()
	if t.size < info.Size() { // remove a line that is cut off within its timestamp
		t.addSpooled(t.size - info.Size())
		return file.Truncate(t.size)
	}
	return nil
}

// adopt counts what an earlier process has left in the file in the namespace's share, once. The
// Follower has counted it in the spool when it started, but did not know whose it is.
func (t *Tail) adopt(size int64) {
	if !t.adopted {
		t.adopted = true
		t.share.spooled.Add(size)
	}
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
		t.file = nil
	}
}
