package podlog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
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

// spoolFull, spoolBroke and podDeletedEarly are reasons why a log may lack its end.
const spoolFull = "too many logs waited to be archived when it was written"

const spoolBroke = "the archiver could not write all of it to its disk"

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
	// forgotten: the file is being deleted. It is under Follower.mu.
	forgotten bool
	// use is held by whoever uses the file or the fields below once done is closed: the run may be
	// forgotten while it is archived. removed: the file is deleted.
	use     sync.Mutex
	removed bool

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
	// begun: the current stream has returned a line. follows: it is one that follows the log.
	begun, follows bool
	// complete: the container has ended and all of its log is in the file. failure is the reason
	// why not.
	complete bool
	failure  string
	// broken: writing the spool failed, and the file is of use only if there is no other copy. full:
	// the spool had no room, and the file may lack its end.
	broken, full bool
	share        *share
	// refused counts consecutive requests that the kubelet has refused.
	refused int
}

// maxRefused is after how many refusals to give up: there is no such container.
const maxRefused = 20

// newTail is called with the Follower's lock held.
func newTail(f *Follower, namespace string, key Key) *Tail {
	t := &Tail{follower: f, namespace: namespace, key: key, path: filepath.Join(f.spool, fileOf(namespace, key)),
		done: make(chan struct{}), share: f.share(namespace)}
	t.share.files++
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

// AwaitEndAndStop waits for the stream of a deleted pod to end, for timeout at most, and then ends
// it.
func (t *Tail) AwaitEndAndStop(ctx context.Context, timeout time.Duration) {
	t.AwaitEnd(ctx, timeout)
	t.stop()
	<-t.done
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

// Checked reports whether this process has seen that the log is of the run's own pod.
func (t *Tail) Checked() bool { return t.checked.Load() }

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
	t.follows = options.Follow
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

// errForgotten says that the run is not to be archived any more.
var errForgotten = errors.New("the log is forgotten")

// open opens the file at its end.
func (t *Tail) open() (err error) {
	if t.removed {
		return errForgotten
	}
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
	info, err := file.Stat()
	if err != nil {
		return err
	}
	t.addSpooled(info.Size() - t.size) // what was not written does not count, if writing failed
	t.position = position{}
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
