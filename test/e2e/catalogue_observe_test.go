//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/indelible-ci/indelible/pkg/result"
)

// observer reads what can be seen of an ended run, as fields and values. A child's fields begin
// with its name, as in "run-build/step write/log".
type observer struct {
	*place
	injected bool
	// unordered compares a log without its order: the kubelet has stdout and stderr in one, in the
	// order in which they come.
	unordered bool
	fields    map[string]string
}

func (o *observer) run(r entryRun) map[string]string {
	o.t.Helper()
	o.fields = map[string]string{}
	if r.kind == "TaskRun" {
		o.taskRun(r.name)
	} else {
		o.pipelineRun(r.name)
	}
	return o.fields
}

// note records a field. Values are normalised here, and nowhere else.
func (o *observer) note(field, value string) {
	o.fields[field] = normal(strings.ReplaceAll(value, o.namespace, "NAMESPACE"))
}

func (o *observer) condition(of string, c *apis.Condition) {
	o.note(of+"/condition", fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message))
}

func (o *observer) pipelineRun(name string) {
	o.t.Helper()
	pr := o.place.pipelineRun(name)
	o.condition(name, pr.Status.GetCondition(apis.ConditionSucceeded))
	for _, r := range pr.Status.Results {
		o.note(name+"/result "+r.Name, o.json(r.Value))
	}
	for _, s := range pr.Status.SkippedTasks {
		o.note(name+"/skipped "+s.Name, string(s.Reason)+" "+o.json(s.WhenExpressions))
	}
	for _, child := range pr.Status.ChildReferences {
		o.note(name+"/child "+child.Name, strings.Join([]string{
			child.Kind, "of", child.PipelineTaskName, child.DisplayName, o.json(child.WhenExpressions),
		}, " "))
		if child.Kind == "TaskRun" {
			o.taskRun(child.Name)
		}
	}
}

func (o *observer) taskRun(name string) {
	o.t.Helper()
	tr := o.place.taskRun(name)
	o.note(name+"/retries", strconv.Itoa(len(tr.Status.RetriesStatus)))
	for i := range tr.Status.RetriesStatus {
		o.attempt(fmt.Sprintf("%s/attempt %d", name, i), &tr.Status.RetriesStatus[i])
	}
	o.attempt(name, &tr.Status)
}

// attempt reads the status of a TaskRun, or of an attempt before the last.
func (o *observer) attempt(name string, s *pipelinev1.TaskRunStatus) {
	o.t.Helper()
	o.condition(name, s.GetCondition(apis.ConditionSucceeded))
	if s.TaskSpec != nil { // workspaces that are propagated into it come out of a map
		slices.SortFunc(s.TaskSpec.Workspaces,
			func(a, b pipelinev1.WorkspaceDeclaration) int { return cmp.Compare(a.Name, b.Name) })
	}
	o.note(name+"/spec", o.json(s.TaskSpec))
	var names []string
	for _, r := range s.Results {
		names = append(names, r.Name)
		o.note(name+"/result "+r.Name, string(r.Type)+" "+o.json(r.Value))
	}
	o.note(name+"/results", strings.Join(names, " "))
	for i := range s.Steps {
		o.step(name, &s.Steps[i])
	}
	names = nil
	for _, sidecar := range s.Sidecars {
		names = append(names, sidecar.Name)
	}
	o.note(name+"/sidecars", strings.Join(names, " "))
	o.pod(name, s)
}

func (o *observer) step(of string, s *pipelinev1.StepState) {
	at := of + "/step " + s.Name
	state := "none"
	switch {
	case s.Terminated != nil:
		ended := s.Terminated
		state = fmt.Sprintf("terminated %s, exit code %d, signal %d", ended.Reason, ended.ExitCode, ended.Signal)
		o.note(at+"/message", s.Terminated.Message)
	case s.Running != nil:
		state = "running"
	case s.Waiting != nil:
		state = "waiting " + s.Waiting.Reason
	}
	o.note(at+"/state", state)
	o.note(at+"/terminationReason", s.TerminationReason)
	for _, r := range s.Results {
		o.note(at+"/result "+r.Name, string(r.Type)+" "+o.json(r.Value))
	}
}

// pod reads the logs of the steps, and checks that the pod is injected, or not, as expected. Tekton
// deletes the pod of a cancelled or timed-out run, which then has no logs.
func (o *observer) pod(name string, s *pipelinev1.TaskRunStatus) {
	o.t.Helper()
	pod, err := cluster.Kube.CoreV1().Pods(o.namespace).Get(o.ctx, s.PodName, metav1.GetOptions{})
	if s.PodName == "" || apierrors.IsNotFound(err) || err == nil && pod.DeletionTimestamp != nil {
		o.note(name+"/pod", "gone")
		return
	}
	if err != nil {
		o.t.Fatal(err)
	}
	o.note(name+"/pod", "there")
	marked := pod.Annotations[result.InjectedAnnotation] != ""
	if marked != (o.injected && hasResults(s.TaskSpec)) {
		o.t.Errorf("pod %s: whether it has the publisher is %v, want the opposite", s.PodName, marked)
	}
	for _, container := range pod.Status.ContainerStatuses {
		if step, ok := strings.CutPrefix(container.Name, "step-"); ok {
			own, around := apart(normal(o.log(s.PodName, container)))
			if o.unordered {
				own = withoutOrder(strings.ReplaceAll(own, o.namespace, "NAMESPACE"))
			}
			o.note(name+"/step "+step+"/log", own)
			o.note(name+"/step "+step+"/log of what runs it", around)
		}
	}
}

// withoutOrder returns what does not depend on the order in which a log came: its bytes. The
// processes of a step write into each other's lines, as those of a pipeline whose shell traces its
// commands do.
func withoutOrder(log string) string {
	return string(slices.Sorted(slices.Values([]byte(strings.ReplaceAll(log, "\n", "")))))
}

func (o *observer) log(pod string, container corev1.ContainerStatus) string {
	o.t.Helper()
	if container.State.Waiting != nil {
		return "none: waiting"
	}
	options := &corev1.PodLogOptions{Container: container.Name}
	stream, err := cluster.Kube.CoreV1().Pods(o.namespace).GetLogs(pod, options).Stream(o.ctx)
	if err != nil {
		o.t.Fatalf("reading the log of %s of %s: %v", container.Name, pod, err)
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	if err != nil {
		o.t.Fatalf("reading the log of %s of %s: %v", container.Name, pod, err)
	}
	return string(text)
}

func (o *observer) json(value any) string {
	o.t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(text)
}
