package archiver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// logs stores the output of each step of each attempt. What cannot be had any more is noted as missing, with the reason; an API server or
// kubelet that does not answer is an error, and the run stays until it does.
func (u *upload) logs(ctx context.Context) error {
	for i, attempt := range u.run.attempts() {
		pod, err := u.pods.CoreV1().Pods(u.run.Namespace).Get(ctx, attempt.PodName, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("read pod %s: %w", attempt.PodName, err)
		}
		ours := err == nil && metav1.IsControlledBy(pod, u.run)
		for _, step := range attempt.Steps {
			p := manifest.Part{Type: manifest.Log, State: manifest.Complete, Container: step.Container, Attempt: i}
			if !ours {
				u.missing(p, "the pod "+attempt.PodName+" is gone")
				continue
			}
			if err := u.log(ctx, pod, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// log stores the output of one container.
func (u *upload) log(ctx context.Context, pod *corev1.Pod, p manifest.Part) error {
	state := containerState(pod, p.Container)
	switch {
	case state == nil || state.Terminated == nil && state.Running == nil:
		u.missing(p, "the container did not start")
		return nil
	case state.Running != nil:
		p.State, p.Reason = manifest.Truncated, "the container still ran"
	}
	stream, err := u.pods.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: p.Container}).Stream(ctx)
	if apierrors.IsNotFound(err) {
		u.missing(p, "the pod "+pod.Name+" is gone")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the log of %s in pod %s: %w", p.Container, pod.Name, err)
	}
	defer stream.Close()
	return u.part(ctx, p, fmt.Sprintf("log-%d-%s.txt", p.Attempt, p.Container), stream)
}

func containerState(pod *corev1.Pod, name string) *corev1.ContainerState {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == name {
			return &pod.Status.ContainerStatuses[i].State
		}
	}
	return nil
}
