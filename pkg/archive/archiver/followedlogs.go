package archiver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/podlog"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// followed stores the log that was read while the container ran, and the rest from the kubelet. If
// the spool has no room for the rest, it is stored as the kubelet has it.
func (u *upload) followed(ctx context.Context, t *podlog.Tail, pod *corev1.Pod, a *run.Attempt, p manifest.Part) error {
	state := run.StateOf(pod, p.Container)
	switch {
	case state != nil && state.Final && u.silent == pod.Name:
		t.GiveUp(silentKubelet)
	case state != nil && state.Final:
		if err := u.finish(ctx, t, pod, p); err != nil {
			return err
		}
		if t.Full() {
			return u.collected(ctx, pod, a, p, state)
		}
	case pod == nil:
		t.AwaitEndAndStop(ctx, podlog.RotationCheck)
	}
	return u.storeFollowed(ctx, t, a, p, state)
}

// finish reads the rest of a log from the kubelet.
func (u *upload) finish(ctx context.Context, t *podlog.Tail, pod *corev1.Pod, p manifest.Part) error {
	if !pod.DeletionTimestamp.IsZero() {
		// the pod may be deleted before a new stream opens; the kubelet ends this one
		t.AwaitEnd(ctx, podlog.RotationCheck)
	}
	if err := t.Finish(ctx); err != nil {
		if !u.gaveUp(pod, p, err) {
			return fmt.Errorf("read the rest of the log: %w", err)
		}
		t.GiveUp(unread(err))
	}
	return nil
}

// storeFollowed stores what the spool has of a log.
func (u *upload) storeFollowed(
	ctx context.Context, t *podlog.Tail, a *run.Attempt, p manifest.Part, state *run.State,
) error {
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
	err = u.storeLog(ctx, p, lines)
	if started := a.Began(p.Container, startOf(state)); err == nil && t.Late(started) {
		u.maybeRotated(lines.First, started)
	}
	return err
}

// beginning stores what the spool has of a log that was not followed to its end because the spool
// was full or broke, and that the kubelet does not have any more. Without it the log is missing for
// the given reason.
func (u *upload) beginning(
	ctx context.Context, a *run.Attempt, p manifest.Part, state *run.State, reason string,
) error {
	t := u.tail(a.PodName, p.Container)
	if t == nil || u.pods[a.PodName].foreign && !t.Checked() || !t.Salvage() {
		u.missing(p, reason)
		return nil
	}
	return u.storeFollowed(ctx, t, a, p, state)
}

// tail returns the followed log of a container, nil if there is none.
func (u *upload) tail(podName, container string) *podlog.Tail {
	if u.Follower == nil {
		return nil
	}
	return u.Follower.Tail(u.run.Namespace, podlog.Key{Run: u.run.UID, Pod: podName, Container: container})
}

// usableTail returns the followed log of a container, nil if there is none that is of use. If the
// spool was full, the kubelet's log is preferred: it usually has more, as long as it exists. If the
// name is another pod's, only what this process has seen to be of the run's own pod is of use.
func (u *upload) usableTail(podName, container string, state *run.State) *podlog.Tail {
	t := u.tail(podName, container)
	switch {
	case t == nil, t.Unusable(), u.pods[podName].foreign && !t.Checked():
		return nil
	case state != nil && state.Final && t.Ended() && t.Full():
		return nil
	}
	return t
}

// followNow starts following a container that still runs although its run is finished. It reports
// whether the container is followed now.
func (u *upload) followNow(pod *corev1.Pod, container string) bool {
	return u.Follower != nil && u.Follower.Follow(u.run.Namespace,
		podlog.Key{Run: u.run.UID, Pod: pod.Name, Container: container})
}
