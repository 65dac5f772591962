package archiver

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const (
	// logPatience is how long to wait for the containers of a finished run to end. A pod's grace
	// period is 30 s by default, but may be longer.
	logPatience = 10 * time.Minute
	// containersSoon and containersLate bound the time until a run that waits for a container is
	// tried again. Most sidecars are stopped within seconds; one that is not may never be.
	containersSoon, containersLate = time.Second, 15 * time.Second
)

// awaitContainers makes a run wait for containers that may still end, before anything is stored:
// the wait ends with many attempts, which would store, read back and delete the same parts.
func (u *upload) awaitContainers(ctx context.Context) error {
	return u.eachContainer(ctx, func(pod *corev1.Pod, a *run.Attempt, _ int, container string) error {
		return u.awaitContainer(pod, a, container)
	})
}

// awaitContainer returns a wait if a container of a finished run still runs and is going to end:
// because its log is followed, or because it is a sidecar, which Tekton stops.
func (u *upload) awaitContainer(pod *corev1.Pod, a *run.Attempt, container string) error {
	state := run.StateOf(pod, container)
	if u.Logs == None || pod == nil || state != nil && state.Final || !u.mayStillEnd() {
		return nil
	}
	var waits bool
	if t := u.usableTail(a.PodName, container, state); t != nil {
		waits = !t.Ended()
	} else if state != nil && (state.Terminated != nil || state.Running != nil) {
		waits = u.followNow(pod, container) || !run.IsStep(container) && pod.DeletionTimestamp.IsZero()
	}
	if !waits {
		return nil
	}
	// a quarter of the time that it has waited
	again := min(max(u.finishedAgo()/4, containersSoon), containersLate)
	return &wait{reason: waitLogs, detail: container + " still runs", again: again}
}

// mayStillEnd reports whether to wait for containers that still run. A run that is being deleted
// while it runs is archived as it is: its deletion waits for that.
func (u *upload) mayStillEnd() bool {
	return u.run.Finished() && !u.run.Last && u.finishedAgo() < logPatience
}

func (u *upload) finishedAgo() time.Duration { return u.run.Since(u.Now()) }
