package run

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// stepPrefix begins the names of steps' containers (https://github.com/tektoncd/pipeline,
// pkg/pod/entrypoint.go).
const stepPrefix = "step-"

// maxContainers is more than fit into a Pod that the API server accepts. A status may name more.
const maxContainers = 1000

// IsStep reports whether a container is a step's.
func IsStep(container string) bool { return strings.HasPrefix(container, stepPrefix) }

// setUp are Tekton's and our init containers that prepare a pod. Their logs matter only if they
// failed.
var setUp = []string{"prepare", "place-scripts", "working-dir-initializer", result.InstallContainer}

// ContainersOf returns the names of an attempt's containers with logs to archive, in the order in
// which they run, and no more than Run.BoundLogs allows. pod is nil if it no longer exists: then
// only those in the run's status are known.
func ContainersOf(a *Attempt, pod *corev1.Pod) []string {
	var names []string
	most := maxContainers
	if a.bound != nil {
		most = min(most, *a.bound)
	}
	add := func(name string) {
		if isLabel(name) && !slices.Contains(names, name) && len(names) < most {
			names = append(names, name)
		}
	}
	var others []string
	if pod != nil {
		for i := range pod.Status.InitContainerStatuses {
			s := &pod.Status.InitContainerStatuses[i]
			ended := s.State.Terminated
			if !slices.Contains(setUp, s.Name) || ended != nil && ended.ExitCode != 0 {
				add(s.Name)
			}
		}
		for i := range pod.Status.ContainerStatuses {
			// an injected container is in no status of Tekton
			others = append(others, pod.Status.ContainerStatuses[i].Name)
		}
	}
	for _, step := range a.Steps {
		add(step.Container)
	}
	for _, sidecar := range a.Sidecars {
		add(sidecar.Container)
	}
	for _, name := range others {
		add(name)
	}
	return names
}

// ToFollow returns the names of containers whose logs are being written, or have been and may soon
// be deleted with the pod. All containers of a pod start together, but a step waits for the one
// before, so its log is empty until that has ended.
func (a *Attempt) ToFollow() []string {
	var names []string
	if !a.hasPod() {
		return nil
	}
	add := func(name string) {
		if isLabel(name) {
			names = append(names, name)
		}
	}
	for i := range a.Steps {
		if a.Steps[i].started() {
			add(a.Steps[i].Container)
		}
		if a.Steps[i].Terminated == nil {
			break
		}
	}
	for i := range a.Sidecars {
		if a.Sidecars[i].started() {
			add(a.Sidecars[i].Container)
		}
	}
	return names
}

// Began returns when a container could first write to its log. A step's container starts with its
// pod and waits for its turn; Tekton's entrypoint records when that came in the status of the ended
// step (pkg/entrypoint, StartedAt).
func (a *Attempt) Began(container string, started time.Time) time.Time {
	for i := range a.Steps {
		s := &a.Steps[i]
		if s.Container != container || s.Terminated == nil {
			continue
		}
		var ended corev1.ContainerStateTerminated
		if json.Unmarshal(*s.Terminated, &ended) == nil && ended.StartedAt.After(started) {
			return ended.StartedAt.Time
		}
	}
	return started
}

// State is the state of a container. When a TaskRun is finished, Tekton stops a sidecar by changing
// its image, and the kubelet restarts the container with that one. Then this is the state of the
// original container (Replaced), whose log is the previous one.
type State struct {
	corev1.ContainerState
	Replaced bool
	// Final: it has ended, and nothing will be started in its place.
	Final bool
}

// StateOf returns the state of a container, nil if the pod does not exist or has no such container.
func StateOf(pod *corev1.Pod, name string) *State {
	if pod == nil {
		return nil
	}
	status := statusOf(pod.Status.ContainerStatuses, name)
	if status == nil {
		if status = statusOf(pod.Status.InitContainerStatuses, name); status == nil {
			return nil
		}
		return &State{ContainerState: status.State, Final: status.State.Terminated != nil}
	}
	if !IsStep(name) && status.RestartCount > 0 {
		before := status.LastTerminationState
		if before.Terminated == nil {
			before.Terminated = &corev1.ContainerStateTerminated{} // the kubelet has lost it
		}
		return &State{ContainerState: before, Replaced: true, Final: true}
	}
	over := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed ||
		!pod.DeletionTimestamp.IsZero()
	return &State{
		ContainerState: status.State,
		Final:          status.State.Terminated != nil && (IsStep(name) || over),
	}
}

func statusOf(all []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}
