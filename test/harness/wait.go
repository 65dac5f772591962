package harness

import (
	"context"
	"fmt"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// WaitTaskRun watches a TaskRun until a condition on it holds, and returns it as it was then. When
// ctx ends first, the error says in what state the TaskRun was left.
func (c *Cluster) WaitTaskRun(
	ctx context.Context, namespace, name string, until func(*pipelinev1.TaskRun) bool,
) (*pipelinev1.TaskRun, error) {
	client := c.Tekton.TektonV1().TaskRuns(namespace)
	return waitFor(ctx, name, lister[*pipelinev1.TaskRunList]{client.List, client.Watch}, until,
		func(t *pipelinev1.TaskRun) string {
			return fmt.Sprintf("TaskRun %s/%s: conditions %v", namespace, name, t.Status.Conditions)
		})
}

// WaitPipelineRun does for a PipelineRun what WaitTaskRun does for a TaskRun.
func (c *Cluster) WaitPipelineRun(
	ctx context.Context, namespace, name string, until func(*pipelinev1.PipelineRun) bool,
) (*pipelinev1.PipelineRun, error) {
	client := c.Tekton.TektonV1().PipelineRuns(namespace)
	return waitFor(ctx, name, lister[*pipelinev1.PipelineRunList]{client.List, client.Watch}, until,
		func(p *pipelinev1.PipelineRun) string {
			return fmt.Sprintf("PipelineRun %s/%s: conditions %v", namespace, name, p.Status.Conditions)
		})
}

// WaitPod does for a Pod what WaitTaskRun does for a TaskRun.
func (c *Cluster) WaitPod(
	ctx context.Context, namespace, name string, until func(*corev1.Pod) bool,
) (*corev1.Pod, error) {
	client := c.Kube.CoreV1().Pods(namespace)
	return waitFor(ctx, name, lister[*corev1.PodList]{client.List, client.Watch}, until, func(p *corev1.Pod) string {
		return fmt.Sprintf("Pod %s/%s: phase %s, containers %v", namespace, name, p.Status.Phase,
			p.Status.ContainerStatuses)
	})
}

// TaskRunDone reports whether a TaskRun has ended.
func TaskRunDone(t *pipelinev1.TaskRun) bool { return t.IsDone() }

// PipelineRunDone reports whether a PipelineRun has ended.
func PipelineRunDone(p *pipelinev1.PipelineRun) bool { return p.IsDone() }

type lister[L runtime.Object] struct {
	list  func(context.Context, metav1.ListOptions) (L, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

func waitFor[T runtime.Object, L runtime.Object](
	ctx context.Context, name string, from lister[L], until func(T) bool, describe func(T) string,
) (T, error) {
	byName := fields.OneTermEqualSelector("metadata.name", name).String()
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = byName
			return from.list(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = byName
			return from.watch(ctx, o)
		},
	}
	var last, zero T
	seen := false
	_, err := watchtools.UntilWithSync(ctx, lw, zero, nil, func(e watch.Event) (bool, error) {
		object, ok := e.Object.(T)
		if !ok {
			return false, nil
		}
		if e.Type == watch.Deleted {
			return false, fmt.Errorf("%s was deleted", name)
		}
		last, seen = object, true
		return until(object), nil
	})
	switch {
	case err == nil:
		return last, nil
	case !seen:
		return last, fmt.Errorf("waiting for %s, which never appeared: %w", name, err)
	default:
		return last, fmt.Errorf("waiting for %s: %w", describe(last), err)
	}
}

// Eventually polls, for the few things that cannot be watched.
func Eventually(ctx context.Context, what string, done func() (bool, error)) error {
	err := wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true,
		func(context.Context) (bool, error) { return done() })
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", what, err)
	}
	return nil
}

// Events waits until there are events of one reason about an object, and returns their messages,
// one entry an occurrence. Events are sent after the fact, so that the first may be a moment away.
func (c *Cluster) Events(ctx context.Context, namespace, name, reason string) ([]string, error) {
	var messages []string
	selector := fields.Set{"involvedObject.name": name, "reason": reason}.String()
	err := Eventually(ctx, fmt.Sprintf("an event %s about %s/%s", reason, namespace, name), func() (bool, error) {
		list, err := c.Kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: selector})
		if err != nil {
			return false, err
		}
		messages = nil
		for _, e := range list.Items {
			for range max(1, e.Count) {
				messages = append(messages, e.Message)
			}
		}
		return len(messages) > 0, nil
	})
	return messages, err
}

// WaitGone waits until a PipelineRun and the pods of its TaskRuns are no more.
func (c *Cluster) WaitGone(ctx context.Context, namespace, pipelineRun string) error {
	return Eventually(ctx, fmt.Sprintf("the end of PipelineRun %s/%s", namespace, pipelineRun), func() (bool, error) {
		_, err := c.Tekton.TektonV1().PipelineRuns(namespace).Get(ctx, pipelineRun, metav1.GetOptions{})
		if err == nil || ignoreNotFound(err) != nil {
			return false, ignoreNotFound(err)
		}
		pods, err := c.Kube.CoreV1().Pods(namespace).List(ctx,
			metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + pipelineRun})
		return err == nil && len(pods.Items) == 0, err
	})
}
