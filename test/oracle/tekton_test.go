package oracle

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/entrypoint"
	"github.com/tektoncd/pipeline/pkg/pod"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// folders are a pod's: the Task results', and each step's metadata folder with its results in it.
type folders struct{ root string }

func (f folders) results() string { return filepath.Join(f.root, "results") }
func (f folders) metadata(i int) string {
	return filepath.Join(f.root, "run", strconv.Itoa(i), "status")
}
func (f folders) stepDir(i int) string { return filepath.Join(f.metadata(i), "results") }
func (f folders) termination(i int) string {
	return filepath.Join(f.root, "termination-"+strconv.Itoa(i))
}

// write leaves the files as a Task's steps would.
func (f folders) write(t testing.TB, task task) {
	t.Helper()
	must(t, os.RemoveAll(f.root))
	must(t, os.MkdirAll(f.results(), 0o700))
	for name, content := range task.files {
		must(t, os.WriteFile(filepath.Join(f.results(), name), []byte(content), 0o600))
	}
	for i, files := range task.steps {
		must(t, os.MkdirAll(f.stepDir(i), 0o700))
		for name, content := range files {
			must(t, os.WriteFile(filepath.Join(f.stepDir(i), name), []byte(content), 0o600))
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// idle stands in for what Tekton's entrypoint waits for, runs and writes beside results.
type idle struct{}

func (idle) Run(context.Context, ...string) error { return nil }
func (idle) Write(string, string)                 {}

func (idle) Wait(ctx context.Context, _ string, _, _ bool) error {
	<-ctx.Done()
	return entrypoint.ErrContextCanceled // what the entrypoint's own waiter returns
}

// fits reports whether every step's termination message will: the entrypoint ends the process when
// one does not. Everything is counted as if each character needed six, and once more for the names.
func fits(task task) bool {
	total := 0
	for _, files := range append([]map[string]string{task.files}, task.steps...) {
		for _, content := range files {
			encoded, _ := json.Marshal(content)
			total += len(encoded) + 60
		}
	}
	return total < 3500
}

// message is what a step's container leaves as its termination message by Tekton's own entrypoint.
// With results it has them; without it is the message that is left where Indelible has taken the
// arguments away.
func message(t testing.TB, task task, f folders, step int, withResults bool) string {
	t.Helper()
	e := entrypoint.Entrypointer{
		Waiter: idle{}, Runner: idle{}, PostWriter: idle{}, TerminationPath: f.termination(step),
		StepMetadataDir:        f.metadata(step),
		ArtifactsDirectory:     filepath.Join(f.root, "artifacts"),
		ResultExtractionMethod: entrypoint.ResultExtractionMethodTerminationMessage,
	}
	_ = os.Remove(f.termination(step))
	if withResults {
		// The folder of Task results is a constant, and the setting that replaces it replaces the
		// steps' too. So the entrypoint runs twice, and adds to its own message.
		first := e
		first.Results, first.ResultsDirectory = task.given(), f.results()
		must(t, first.Go())
		e.StepResults = task.givenOf(step)
	}
	must(t, e.Go())
	text, err := os.ReadFile(f.termination(step))
	must(t, err)
	return string(text)
}

// tektonStatus is the status that Tekton's own code makes of a TaskRun when its pod has ended.
func tektonStatus(t testing.TB, task task, f folders, tr v1.TaskRun, withResults bool) v1.TaskRunStatus {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "run-pod", Namespace: "team"},
		Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}
	for i := range task.spec.Steps {
		name := "step-" + task.stepName(i)
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: name})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses,
			corev1.ContainerStatus{Name: name, State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{Reason: "Completed",
					Message: message(t, task, f, i, withResults)},
			}})
	}
	status, err := pod.MakeTaskRunStatus(context.Background(), zap.NewNop().Sugar(), tr, p, nil, &task.spec)
	must(t, err)
	return status
}
