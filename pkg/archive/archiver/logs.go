package archiver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/podlog"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// LogMode is how logs are read.
type LogMode string

// Log modes (archive.logs).
const (
	// Follow reads logs while the steps run. It keeps the logs of pods that do not outlive their
	// run: Tekton deletes the pods of cancelled and timed-out runs, and nodes evict pods. It also
	// gets lines that the kubelet rotates away.
	Follow LogMode = "follow"
	// Collect reads logs once the run is finished.
	Collect LogMode = "collect"
	// None archives no logs.
	None LogMode = "none"
)

// logs stores the output of each container of each attempt (run.ContainersOf). A log that no longer
// exists is recorded as missing, with the reason. If the kubelet does not answer, the run waits for
// up to logPatience, and then what there is is archived. If the API server does not answer, the run
// waits for as long as that lasts.
func (u *upload) logs(ctx context.Context) error {
	return u.eachContainer(ctx, func(pod *corev1.Pod, a *run.Attempt, attempt int, container string) error {
		p := manifest.Part{Type: manifest.Log, State: manifest.Complete, Container: container, Attempt: attempt}
		before := len(u.parts)
		err := u.log(ctx, pod, a, p)
		if err == nil || !u.run.Last || ctx.Err() != nil {
			return err
		}
		u.Log.Error(err, "A deleted run is archived without a log", "run", u.run.Reference().String(), "container",
			container)
		u.parts = u.parts[:before]
		u.missing(p, unreadable)
		return nil
	})
}

// unreadable is the reason of a log that the last attempt for a deleted run does without.
const unreadable = "it could not be read"

// eachContainer calls do for each container of each attempt, until it returns an error.
func (u *upload) eachContainer(
	ctx context.Context, do func(pod *corev1.Pod, a *run.Attempt, attempt int, container string) error,
) error {
	for i, attempt := range u.run.Attempts() {
		pod, err := u.pod(ctx, attempt.PodName)
		if err != nil {
			return err
		}
		for _, container := range run.ContainersOf(&attempt, pod) {
			if err := do(pod, &attempt, i, container); err != nil {
				return fmt.Errorf("%s in pod %s: %w", container, attempt.PodName, err)
			}
		}
	}
	return nil
}

// pod returns a pod of the run, nil if it no longer exists or the name is another run's pod by now.
func (u *upload) pod(ctx context.Context, name string) (*corev1.Pod, error) {
	if u.Logs == None {
		return nil, nil
	}
	if p, ok := u.pods[name]; ok && time.Since(p.read) < freshPod {
		return p.pod, nil
	}
	pod, err := run.GetPod(ctx, u.kube, u.run.Namespace, name, u.run.UID)
	switch {
	case apierrors.IsNotFound(err):
		pod = nil
	case err != nil:
		return nil, fmt.Errorf("read pod %s: %w", name, err)
	default:
		pod.Spec, pod.ManagedFields = corev1.PodSpec{}, nil // most of its memory, and not needed
	}
	u.pods[name] = podAt{pod, errors.Is(err, run.ErrForeignPod), time.Now()}
	return pod, nil
}

// freshPod is for how long a pod that was read to see whether the run waits is good for reading its
// logs as well. Later its deletion may have begun.
const freshPod = time.Second

// podAt is a pod as it was at some time, nil if it did not exist. foreign: the name was another
// pod's.
type podAt struct {
	pod     *corev1.Pod
	foreign bool
	read    time.Time
}

// log stores the output of one container.
func (u *upload) log(ctx context.Context, pod *corev1.Pod, a *run.Attempt, p manifest.Part) error {
	if u.Logs == None {
		u.missing(p, "the archiver was told to store no logs")
		return nil
	}
	// the first pass has found that nothing waits, but a container may have started since
	if err := u.awaitContainer(pod, a, p.Container); err != nil {
		return err
	}
	state := run.StateOf(pod, p.Container)
	if t := u.usableTail(a.PodName, p.Container, state); t != nil {
		return u.followed(ctx, t, pod, a, p)
	}
	switch {
	case pod == nil && u.pods[a.PodName].foreign:
		return u.beginning(ctx, a, p, state, "the pod "+a.PodName+" was not the run's")
	case pod == nil:
		return u.beginning(ctx, a, p, state, "the pod "+a.PodName+" was gone")
	case state == nil || state.Terminated == nil && state.Running == nil:
		u.missing(p, "the container did not start")
	case state.Final:
		return u.collected(ctx, pod, a, p, state)
	default:
		p.State, p.Reason = manifest.Truncated, "the container still ran"
		return u.collected(ctx, pod, a, p, state)
	}
	return nil
}

// collected stores the log that the kubelet has now.
func (u *upload) collected(
	ctx context.Context, pod *corev1.Pod, a *run.Attempt, p manifest.Part, state *run.State,
) error {
	if u.silent == pod.Name {
		return u.beginning(ctx, a, p, state, silentKubelet)
	}
	options := &corev1.PodLogOptions{Container: p.Container, Timestamps: true, Previous: state.Replaced}
	stream, err := podlog.Read(ctx, u.kube, pod, options, u.silence)
	switch {
	case apierrors.IsNotFound(err):
		return u.beginning(ctx, a, p, state, "the pod "+pod.Name+" was gone")
	case apierrors.IsBadRequest(err):
		return u.beginning(ctx, a, p, state, noLog)
	case err != nil && u.gaveUp(pod, p, err):
		return u.beginning(ctx, a, p, state, silentKubelet)
	case err != nil:
		return fmt.Errorf("read log: %w", err)
	}
	defer stream.Close()
	return u.storeStream(ctx, stream, pod, a, p, state)
}

// storeStream stores a log that the kubelet returns. If it breaks off, and that is tolerated, what
// was read is stored.
func (u *upload) storeStream(
	ctx context.Context, stream io.Reader, pod *corev1.Pod, a *run.Attempt, p manifest.Part, state *run.State,
) error {
	broken := &tolerantReader{from: stream, tolerates: func(err error) bool { return u.gaveUp(pod, p, err) }}
	lines := podlog.NewUnstamped(broken)
	isMessage := func(err error) bool { return errors.Is(err, podlog.ErrNoStamp) }
	message := &tolerantReader{from: lines, tolerates: isMessage}
	content := bufio.NewReader(message)
	switch _, err := content.Peek(1); {
	case errors.Is(err, io.EOF) && message.broke:
		return u.beginning(ctx, a, p, state, noLog)
	case errors.Is(err, io.EOF) && broken.broke:
		return u.beginning(ctx, a, p, state, silentKubelet)
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("read log: %w", err)
	}
	if err := u.storeLog(ctx, p, content); err != nil {
		return err
	}
	switch {
	case message.broke:
		u.lastPart().State, u.lastPart().Reason = manifest.Truncated, noRest
	case broken.broke:
		u.lastPart().State, u.lastPart().Reason = manifest.Truncated, silentKubelet
	}
	if started := a.Began(p.Container, startOf(state)); !started.IsZero() {
		u.maybeRotated(lines.First, started)
	}
	return nil
}

// Reasons for logs that the kubelet did not return in time, for which it returned a message
// instead, and which it ended with one.
const (
	silentKubelet = "the kubelet did not answer"
	noLog         = "the kubelet had no log"
	noRest        = "the kubelet had no more of the log"
)

// unread returns the reason for the rest of a log that the kubelet was asked for in vain.
func unread(err error) string {
	if errors.Is(err, podlog.ErrNoStamp) {
		return noRest
	}
	return silentKubelet
}

// gaveUp reports whether to archive without what the kubelet still has.
func (u *upload) gaveUp(pod *corev1.Pod, p manifest.Part, err error) bool {
	over := u.notes.waits(u.run, waitLogs, u.Now()) > logPatience || u.run.Last
	if over {
		if errors.Is(err, podlog.ErrSilent) {
			u.silent = pod.Name
		}
		u.Log.Info("A run is archived without the rest of a log, because the kubelet does not answer",
			"run", u.run.Reference().String(), "container", p.Container, "error", err.Error())
	}
	return over
}

func (u *upload) lastPart() *manifest.Part { return &u.parts[len(u.parts)-1] }

// tolerantReader turns an error of its source into the end of the content, if it is tolerated.
type tolerantReader struct {
	from      io.Reader
	tolerates func(error) bool
	broke     bool
}

func (t *tolerantReader) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && t.tolerates(err) {
		t.broke, err = true, io.EOF
	}
	return n, err
}

// maybeRotated marks the log stored last as truncated if its first line is so late that earlier
// ones may have been rotated away.
func (u *upload) maybeRotated(first, started time.Time) {
	late := first.Sub(started)
	if p := u.lastPart(); p.State == manifest.Complete && late > podlog.RotationCheck {
		p.State, p.Reason = manifest.Truncated, "the beginning may have been rotated away: the first line came "+
			late.Round(time.Second).String()+" after the container"
	}
}

// startOf returns when a container started, zero if unknown.
func startOf(state *run.State) time.Time {
	switch {
	case state == nil:
		return time.Time{}
	case state.Terminated != nil:
		return state.Terminated.StartedAt.Time
	case state.Running != nil:
		return state.Running.StartedAt.Time
	}
	return time.Time{}
}
