//go:build e2e

package e2e

import (
	"context"
	"fmt"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// versionsWatch sees every stored version of every TaskRun of a namespace, and compares each with
// the one before.
type versionsWatch struct {
	watcher *watchtools.RetryWatcher
	done    chan seenVersions
	p       *place
}

// seenVersions is what a watch has seen.
type seenVersions struct {
	versions int
	broken   []error
}

// watchVersions starts before there is any TaskRun, and takes up a broken watch where it ended, so
// that it misses none.
func watchVersions(p *place) *versionsWatch {
	p.t.Helper()
	client := cluster.Tekton.TektonV1().TaskRuns(p.namespace)
	list, err := client.List(p.ctx, metav1.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(p.ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface,
			error) {
			return client.Watch(ctx, o)
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	w := &versionsWatch{watcher: watcher, done: make(chan seenVersions, 1), p: p}
	go w.follow()
	return w
}

// lastMark is the name of the TaskRun whose creation tells the watch that there is nothing more to
// come.
const lastMark = "last-mark"

// stop waits until the watch has seen all that is stored by now.
func (w *versionsWatch) stop() seenVersions {
	w.p.t.Helper()
	w.p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: ` + lastMark + `}
spec:
  managedBy: indelible.dev/e2e
  taskSpec: {steps: [{image: none, script: "true"}]}
`)
	select {
	case seen := <-w.done:
		return seen
	case <-w.p.ctx.Done():
		w.p.t.Fatal("the watch never saw its end")
	}
	return seenVersions{}
}

func (w *versionsWatch) follow() {
	var seen seenVersions
	former := map[string]*pipelinev1.TaskRun{}
	for event := range w.watcher.ResultChan() {
		tr, ok := event.Object.(*pipelinev1.TaskRun)
		if !ok || event.Type == watch.Deleted {
			seen.broken = append(seen.broken,
				fmt.Errorf("the watch got an event %s with a %T", event.Type, event.Object))
			break
		}
		if tr.Name == lastMark {
			break
		}
		seen.versions++
		if before := former[tr.Name]; before != nil {
			if err := follows(before, tr); err != nil {
				seen.broken = append(seen.broken,
					fmt.Errorf("TaskRun %s, version %s after %s: %w", tr.Name, tr.ResourceVersion,
						before.ResourceVersion, err))
			}
		}
		former[tr.Name] = tr
	}
	w.watcher.Stop()
	w.done <- seen
}

// follows reports whether a version may come after another: all results stay, first and in their
// order, unless it starts another attempt, which then has none.
func follows(before, after *pipelinev1.TaskRun) error {
	if len(after.Status.RetriesStatus) == len(before.Status.RetriesStatus)+1 {
		if n := len(flatten(after)); n > 0 {
			return fmt.Errorf("an attempt starts with %d results", n)
		}
		return nil
	}
	if err := extends(before.Status.Results, after.Status.Results); err != nil {
		return fmt.Errorf("status.results: %w", err)
	}
	for _, step := range before.Status.Steps {
		if err := extends(step.Results, resultsOf(after, step.Name)); err != nil {
			return fmt.Errorf("results of step %s: %w", step.Name, err)
		}
	}
	return nil
}

func resultsOf(tr *pipelinev1.TaskRun, step string) []pipelinev1.TaskRunStepResult {
	for _, s := range tr.Status.Steps {
		if s.Name == step {
			return s.Results
		}
	}
	return nil
}

// extends reports whether a list is another with more at its end.
func extends(before, after []pipelinev1.TaskRunResult) error {
	if len(after) < len(before) {
		return fmt.Errorf("%d results were stored, %d are", len(before), len(after))
	}
	for i, old := range before {
		if after[i].Name != old.Name || after[i].Type != old.Type || after[i].Value.StringVal != old.Value.StringVal {
			return fmt.Errorf("place %d had %s, and now has %s with another value or type", i, old.Name, after[i].Name)
		}
	}
	return nil
}
