// Package live reads the logs of runs that are not archived yet, through the API server's pods/log.
// Tekton Results cannot do that. A caller gets what has been written so far.
//
// It reads only pods that a TaskRun controls, whatever its status says, and only containers of
// steps that have started.
package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/query/server"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Logs reads logs from a cluster.
type Logs struct {
	runs     *run.Client
	kube     kubernetes.Interface
	metadata metadata.Interface
	// looking bounds the concurrent searches for a run, each of which lists a namespace.
	looking chan struct{}
}

const (
	lookAtOnce = 4
	// page is how many runs are listed at a time, only their metadata.
	page = 500
)

// New returns a Logs with clients for the cluster.
func New(config *rest.Config) (*Logs, error) {
	l := &Logs{looking: make(chan struct{}, lookAtOnce)}
	var errs [3]error
	l.runs, errs[0] = run.NewClient(config)
	l.kube, errs[1] = kubernetes.NewForConfig(config)
	l.metadata, errs[2] = metadata.NewForConfig(config)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("make clients for live logs: %w", err)
	}
	return l, nil
}

var _ server.Live = (*Logs)(nil)

// Logs implements server.Live.
func (l *Logs) Logs(ctx context.Context, namespace, result, id string) iter.Seq2[server.Container, error] {
	return func(yield func(server.Container, error) bool) {
		taskRuns, pipelineRun, err := l.find(ctx, namespace, result, id)
		if err == nil && taskRuns == nil {
			err = server.ErrNoLog
		}
		for i := 0; err == nil && i < len(taskRuns); i++ {
			title := ""
			if pipelineRun {
				title = taskRuns[i].Name
			}
			var more bool
			if more, err = l.taskRun(ctx, &taskRuns[i], title, yield); !more {
				return
			}
		}
		if err != nil {
			yield(server.Container{}, err)
		}
	}
}

// find returns the TaskRun with this UID or log ID, or the TaskRuns of that PipelineRun.
func (l *Logs) find(
	ctx context.Context, namespace, result, id string,
) (found []metav1.PartialObjectMetadata, pipelineRun bool, err error) {
	select {
	case l.looking <- struct{}{}:
		defer func() { <-l.looking }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	isIt := func(m *metav1.ObjectMeta) bool {
		return run.ResultOf(m) == result && (string(m.UID) == id || run.LogID(result, string(m.UID)) == id)
	}
	if found, err = l.list(ctx, namespace, "TaskRun", isIt); err != nil || len(found) > 0 {
		return found, false, err
	}
	owners, err := l.list(ctx, namespace, run.PipelineRunKind, isIt)
	if err != nil || len(owners) == 0 {
		return nil, false, err
	}
	found, err = l.list(ctx, namespace, "TaskRun", func(m *metav1.ObjectMeta) bool {
		owner := metav1.GetControllerOf(m)
		return owner != nil && owner.UID == owners[0].UID
	})
	slices.SortFunc(found, func(one, two metav1.PartialObjectMetadata) int {
		return cmp.Or(one.CreationTimestamp.Compare(two.CreationTimestamp.Time), cmp.Compare(one.Name, two.Name))
	})
	return found, true, err
}

// list returns the metadata of matching runs in a namespace.
func (l *Logs) list(
	ctx context.Context, namespace, kind string, match func(*metav1.ObjectMeta) bool,
) (found []metav1.PartialObjectMetadata, err error) {
	of := run.Resources[slices.Index(run.Kinds, kind)]
	for next := ""; ; {
		listed, err := l.metadata.Resource(of).Namespace(namespace).List(ctx,
			metav1.ListOptions{Limit: page, Continue: next})
		if apierrors.IsNotFound(err) {
			return nil, nil // Tekton is not installed
		}
		if err != nil {
			return nil, fmt.Errorf("list %ss of namespace %s: %w", kind, namespace, err)
		}
		for i := range listed.Items {
			if match(&listed.Items[i].ObjectMeta) {
				found = append(found, listed.Items[i])
			}
		}
		if next = listed.Continue; next == "" {
			return found, nil
		}
	}
}

// taskRun yields the logs of a TaskRun's attempts. If it or a pod has been deleted, there is
// nothing to read.
func (l *Logs) taskRun(
	ctx context.Context, of *metav1.PartialObjectMetadata, title string, yield func(server.Container, error) bool,
) (more bool, err error) {
	object, err := l.runs.Get(ctx, run.Reference{Kind: "TaskRun", Namespace: of.Namespace, Name: of.Name})
	if err != nil || object == nil {
		return true, err
	}
	taskRun, err := run.Parse(object)
	if err != nil || taskRun.UID != of.UID || taskRun.OptedOut() {
		return true, err // runs that are not archived are not shown
	}
	for _, attempt := range taskRun.Attempts() {
		if ok, err := l.hasPod(ctx, of.Namespace, attempt.PodName, taskRun.UID); err != nil || !ok {
			if err != nil {
				return true, err
			}
			continue
		}
		for _, container := range attempt.ToFollow() {
			content, err := l.kube.CoreV1().Pods(of.Namespace).GetLogs(attempt.PodName,
				&corev1.PodLogOptions{Container: container}).Stream(ctx)
			if apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) {
				continue // the pod has been deleted, or the container has not started
			}
			if err != nil {
				return true, fmt.Errorf("read the log of %s in pod %s: %w", container, attempt.PodName, err)
			}
			if !yield(server.Container{Run: title, Name: container, Content: content}, nil) {
				return false, nil
			}
		}
	}
	return true, nil
}

// hasPod says whether the TaskRun controls a pod.
func (l *Logs) hasPod(ctx context.Context, namespace, name string, taskRun types.UID) (bool, error) {
	pod, err := l.metadata.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(namespace).Get(ctx, name,
		metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read pod %s: %w", name, err)
	}
	return run.Controls(taskRun, pod), nil
}
