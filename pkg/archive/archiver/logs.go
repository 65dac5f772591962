package archiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/podlog"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// LogMode says how logs are read.
type LogMode string

// Ways to read logs.
const (
	// Follow reads the log of a step while it runs, so that it is there when the pod is not: Tekton
	// deletes the pods of cancelled runs and of those that took too long, and nodes evict pods. It
	// also gets the lines that the kubelet has rotated away at the end.
	Follow LogMode = "follow"
	// Collect reads the log when the run is finished.
	Collect LogMode = "collect"
	// None reads no logs.
	None LogMode = "none"
)

const (
	// logPatience is how long a finished run's containers may go on: the grace period of a pod is
	// 30 s, and may be more.
	logPatience = 10 * time.Minute
)

// logs stores the output of each container of each attempt (containersOf). What cannot be had any
// more is noted as missing, with the reason. A kubelet that does not answer is an error, and the
// run stays until it does, or for logPatience: then what there is is archived. An API server that
// does not answer keeps the run in any case.
func (u *upload) logs(ctx context.Context) error {
	for i, attempt := range u.run.Attempts() {
		pod, err := u.pod(ctx, attempt.PodName)
		if err != nil {
			return err
		}
		for _, name := range run.ContainersOf(&attempt, pod) {
			p := manifest.Part{Type: manifest.Log, State: manifest.Complete, Container: name, Attempt: i}
			if err := u.log(ctx, pod, &attempt, p); err != nil {
				return fmt.Errorf("%s in pod %s: %w", name, attempt.PodName, err)
			}
		}
	}
	return nil
}

// pod returns a pod of the run, nil if it is gone. Another may have its name by now.
func (u *upload) pod(ctx context.Context, name string) (*corev1.Pod, error) {
	if u.Logs == None {
		return nil, nil
	}
	pod, err := u.kube.CoreV1().Pods(u.run.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read pod %s: %w", name, err)
	case !metav1.IsControlledBy(pod, u.run):
		return nil, nil
	}
	return pod, nil
}

// log stores the output of one container.
func (u *upload) log(ctx context.Context, pod *corev1.Pod, a *run.Attempt, p manifest.Part) error {
	if u.Logs == None {
		u.missing(p, "the archiver was told to store no logs")
		return nil
	}
	state := run.StateOf(pod, p.Container)
	if t := u.tail(a.PodName, p.Container); t != nil && !t.Unusable() {
		// Of a log for which there was no room the kubelet has more, as a rule, as long as it has
		// any.
		if ended := state != nil && state.Final; !ended || !t.Ended() || !t.Full() {
			return u.followed(ctx, t, pod, a, p)
		}
	}
	switch {
	case pod == nil:
		u.missing(p, "the pod "+a.PodName+" was gone")
	case state == nil || state.Terminated == nil && state.Running == nil:
		u.missing(p, "the container did not start")
	case state.Final:
		return u.collected(ctx, pod, a, p, state)
	case u.mayGoOn() && (u.followNow(pod, p.Container) || !run.IsStep(p.Container) && pod.DeletionTimestamp.IsZero()):
		return &wait{reason: waitLogs, detail: p.Container + " still runs", again: time.Second}
	default:
		p.State, p.Reason = manifest.Truncated, "the container still ran"
		return u.collected(ctx, pod, a, p, state)
	}
	return nil
}

// mayGoOn says whether it is worth while to wait for containers of a run that is finished. A run
// that is deleted while it works is archived as it is: who deleted it waits for that.
func (u *upload) mayGoOn() bool { return u.run.Finished() && u.run.Since(u.Now()) < logPatience }

// collected stores what the kubelet has.
func (u *upload) collected(
	ctx context.Context, pod *corev1.Pod, a *run.Attempt, p manifest.Part, state *run.State,
) error {
	options := &corev1.PodLogOptions{Container: p.Container, Timestamps: true, Previous: state.Replaced}
	stream, err := u.kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
	switch {
	case apierrors.IsNotFound(err):
		u.missing(p, "the pod "+pod.Name+" was gone")
		return nil
	case apierrors.IsBadRequest(err):
		u.missing(p, "the kubelet had no log")
		return nil
	case err != nil && u.gaveUp(p, err):
		u.missing(p, silentKubelet)
		return nil
	case err != nil:
		return fmt.Errorf("read log: %w", err)
	}
	defer stream.Close()
	tolerant := &tolerantReader{from: stream, tolerates: func(err error) bool { return u.gaveUp(p, err) }}
	lines := podlog.NewUnstamped(tolerant)
	err = u.text(ctx, p, lines)
	if err == nil && tolerant.broke {
		u.lastPart().State, u.lastPart().Reason = manifest.Truncated, silentKubelet
	}
	if errors.Is(err, podlog.ErrNoStamp) {
		u.missing(p, "the kubelet had no log")
		return nil
	}
	if started := a.Began(p.Container, startOf(state)); err == nil && !started.IsZero() {
		u.maybeRotated(lines.First, started)
	}
	return err
}

// followed stores what was read while the container ran, and the rest.
func (u *upload) followed(ctx context.Context, t *podlog.Tail, pod *corev1.Pod, a *run.Attempt, p manifest.Part) error {
	state := run.StateOf(pod, p.Container)
	switch {
	case state != nil && state.Final:
		if !pod.DeletionTimestamp.IsZero() {
			// the pod may be gone before a stream of our own has begun; the kubelet ends this one
			t.Settle(ctx, podlog.RotationCheck)
		}
		if err := t.Finish(ctx); err != nil {
			if !u.gaveUp(p, err) {
				return fmt.Errorf("read the rest of the log: %w", err)
			}
			t.GiveUp(silentKubelet)
		}
	case pod == nil:
		t.Await(ctx, podlog.RotationCheck)
	case u.mayGoOn() && !t.Ended():
		return &wait{reason: waitLogs, detail: p.Container + " still runs", again: time.Second}
	}
	if err := t.Prepare(); err != nil {
		return fmt.Errorf("read what was followed: %w", err)
	}
	content, reason, err := t.Open()
	if err != nil {
		return fmt.Errorf("read what was followed: %w", err)
	}
	defer content.Close()
	if reason != "" {
		p.State, p.Reason = manifest.Truncated, reason
	}
	lines := podlog.NewUnstamped(content)
	err = u.text(ctx, p, lines)
	if started := a.Began(p.Container, startOf(state)); err == nil && t.Late(started) {
		u.maybeRotated(lines.First, started)
	}
	return err
}

// silentKubelet is why a log is not whole of which the kubelet did not give the rest in time.
const silentKubelet = "the kubelet did not answer"

// gaveUp says whether it is time to go on without what the kubelet has.
func (u *upload) gaveUp(p manifest.Part, err error) bool {
	over := u.patience.over(u.run.UID, waitLogs, u.Now(), logPatience)
	if over {
		u.Log.Info("A run is archived without the rest of a log, because the kubelet does not answer",
			"run", u.run.Reference().String(), "container", p.Container, "error", err.Error())
	}
	return over
}

func (u *upload) lastPart() *manifest.Part { return &u.parts[len(u.parts)-1] }

// tolerantReader ends where what it reads from breaks off, if that is to be tolerated.
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

// maybeRotated marks the log that was stored last as truncated if its first line came so late that
// others may have been before it.
func (u *upload) maybeRotated(first, started time.Time) {
	late := first.Sub(started)
	if p := u.lastPart(); p.State == manifest.Complete && late > podlog.RotationCheck {
		p.State, p.Reason = manifest.Truncated, "the beginning may have been rotated away: the first line came "+
			late.Round(time.Second).String()+" after the container"
	}
}

// startOf returns when a container began to run, zero if that is not known.
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

// tail returns what follows a container's log, nil if nothing does.
func (u *upload) tail(podName, container string) *podlog.Tail {
	if u.Follower == nil {
		return nil
	}
	return u.Follower.Tail(u.run.Namespace, podlog.Key{Run: u.run.UID, Pod: podName, Container: container})
}

// followNow begins to follow a container that goes on after its run is finished. It says whether it
// does.
func (u *upload) followNow(pod *corev1.Pod, container string) bool {
	return u.Follower != nil && u.Follower.Follow(u.run.Namespace,
		podlog.Key{Run: u.run.UID, Pod: pod.Name, Container: container})
}
