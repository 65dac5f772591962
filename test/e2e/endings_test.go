//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"
)

// ending is a way in which a step's container comes to its end.
type ending struct {
	name string
	// last is what the second step does after it has written its result; by default it waits to be
	// ended.
	last string
	// step and spec are lines of YAML for the second step and for the TaskRun's spec.
	step, spec string
	// end ends it from outside, once the second step has said that it has written.
	end func(p *place, pod string)
	// more are results beyond those Tekton has, because the publisher could still speak; less are
	// those it could not publish.
	more, less []string
	// judge replaces the comparison, if Tekton has two ways to end it or cannot reach such an end;
	// see there.
	judge func(t *testing.T, p *place, with, without verdict)
}

const endless = "exec sleep 3600"

// TestEndings runs each TaskRun twice at a time, in a namespace with Indelible and in one without:
// plain Tekton is the oracle. Condition, reasons, exit codes and small results must be the same.
func TestEndings(t *testing.T) {
	t.Parallel()
	endings := []ending{
		{name: "a step that fails", last: "exit 3"},
		{name: "a step that kills itself", last: "kill -9 $$"},
		{name: "a step that tries to kill the container's first process, which the kernel forbids",
			last: "kill -9 1; exit 0"},
		{name: "a step whose process is killed", end: killing(func(p process) bool { return p.command[0] == "sleep" })},
		// Tekton knows of the first step's result already: each of its steps reports by itself, and
		// a publisher at the end.
		{name: "a step whose first process is killed", less: []string{"early"},
			end: killing(func(p process) bool { return p.pidInside == 1 })},
		// In a pod with a publisher Tekton's entrypoint is not the first process, so that the
		// publisher outlives it.
		{name: "a step whose entrypoint is killed", more: []string{"text"},
			end: killing(func(p process) bool { return p.command[0] == "/tekton/bin/entrypoint" })},
		{name: "a step that kills its parent, which it cannot in plain Tekton", last: "kill -9 $PPID; exec sleep 5",
			judge: parentKilled},
		{name: "a step that is killed for memory", step: limit, last: "exec " + eat},
		{
			name: "a step that ends well although a process of it was killed for memory", step: limit,
			last: eat + " || exit 0",
		},
		{name: "a step that runs out of its time", step: "timeout: 3s"},
		{name: "a TaskRun that runs out of its time", spec: "timeout: 40s"},
		{name: "a TaskRun that is cancelled", end: cancelled},
		{name: "a pod that is evicted", last: ownValue, end: evicted, judge: endedOrRunAgain},
		{name: "a pod that is lost with its node", last: ownValue, end: lost, judge: endedOrRunAgain},
	}
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			e.compare(t)
		})
	}
}

const (
	// limit leaves entrypoint and publisher room, and eat none.
	limit = "computeResources: {limits: {memory: 64Mi}}"
	eat   = "dd if=/dev/zero of=/dev/null bs=200M count=1"
)

func (e ending) compare(t *testing.T) {
	with, without := newPlace(t), newPlaceWith(t, nil)
	var pods []string
	for _, p := range []*place{with, without} {
		p.create(e.taskRun())
	}
	if e.end != nil {
		for _, p := range []*place{with, without} {
			pod := p.running("run", "step-write")
			waitForLog(p, pod, "step-write", "written")
			p.noted()
			pods = append(pods, pod)
		}
		wantInjected(with, pods[0])
		e.end(with, pods[0])
		e.end(without, pods[1])
	}
	got, want := verdictOf(with.taskRun("run")), verdictOf(without.taskRun("run"))
	t.Logf("Tekton alone: %s", want)
	if e.judge != nil {
		e.judge(t, with, got, want)
		return
	}
	if got.ending != want.ending {
		t.Errorf("with Indelible:\n%s\nTekton alone:\n%s", got.ending, want.ending)
	}
	for name, value := range got.results {
		if alone, ok := want.results[name]; ok && alone != value {
			t.Errorf("result %s is %q, Tekton alone has %q", name, value, alone)
		}
	}
	if more := beyond(got.results, want.results); !slices.Equal(more, e.more) {
		t.Errorf("results beyond Tekton's: %v, want %v", more, e.more)
	}
	if less := beyond(want.results, got.results); !slices.Equal(less, e.less) {
		t.Errorf("results that Tekton alone has: %v, want %v", less, e.less)
	}
}

// noted waits until Tekton's status shows that the first step has ended and the second runs: for a
// cancelled TaskRun, what the status shows at the end stays.
func (p *place) noted() *pipelinev1.TaskRun {
	p.t.Helper()
	tr, err := cluster.WaitTaskRun(p.ctx, p.namespace, "run", secondRuns)
	if err != nil {
		p.t.Fatal(err)
	}
	return tr
}

func secondRuns(tr *pipelinev1.TaskRun) bool {
	steps := tr.Status.Steps
	return len(steps) == 2 && steps[0].Terminated != nil && steps[1].Running != nil
}

// beyond lists the names in one that are not in another.
func beyond(one, another map[string]string) []string {
	var names []string
	for name := range one {
		if _, ok := another[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (e ending) taskRun() string {
	last := e.last
	if last == "" {
		last = endless
	}
	return fmt.Sprintf(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  %s
  taskSpec:
    results: [{name: early}, {name: text}]
    steps:
    - {name: first, image: IMAGE, script: "printf one > $(results.early.path)"}
    - name: write
      image: IMAGE
      %s
      script: |
        printf two > $(results.text.path)
        echo written
        %s
`, e.spec, e.step, last)
}

// verdict is Tekton's status of an ended TaskRun, without what differs between any two.
type verdict struct {
	ending  string
	results map[string]string
}

func (o verdict) String() string { return fmt.Sprintf("%sresults %v", o.ending, o.results) }

func verdictOf(tr *pipelinev1.TaskRun) verdict {
	condition := tr.Status.GetCondition(apis.ConditionSucceeded)
	var b strings.Builder
	fmt.Fprintf(&b, "Succeeded %s %s: %s\n", condition.Status, condition.Reason,
		strings.ReplaceAll(condition.Message, tr.Namespace, "NAMESPACE"))
	for _, s := range tr.Status.Steps {
		fmt.Fprintf(&b, "step %s:", s.Name)
		if s.Running != nil {
			b.WriteString(" running")
		}
		if s.Terminated != nil {
			fmt.Fprintf(&b, " terminated, reason %s, exit code %d, terminationReason %s", s.Terminated.Reason,
				s.Terminated.ExitCode, s.TerminationReason)
		}
		b.WriteString("\n")
	}
	results := map[string]string{}
	for _, r := range tr.Status.Results {
		results[r.Name] = r.Value.StringVal
	}
	return verdict{b.String(), results}
}

// parentKilled: in plain Tekton a step's parent is the container's first process, which the kernel
// protects from the container's processes. With a publisher the parent is another process, and a
// step can kill it. The TaskRun then fails and keeps its results.
func parentKilled(t *testing.T, _ *place, with, without verdict) {
	t.Helper()
	if !strings.Contains(without.ending, "Succeeded True") {
		t.Errorf("Tekton alone: %s", without)
	}
	if !strings.Contains(with.ending, "Succeeded False") || !strings.Contains(with.ending, "exit code 137") ||
		len(with.results) != 2 {
		t.Errorf("with Indelible: %s\nwant a failure with exit code 137, and both results", with)
	}
}

// ownValue is a result that no two pods have, also in the step's log; then the step waits to be
// ended or released.
const ownValue = `tr -d '\n' < /proc/sys/kernel/random/uuid | tee $(results.text.path); until [ -e /tekton/home/go ]; do sleep 0.2; done`

// endedOrRunAgain: when a pod disappears, Tekton either sees its end before, and the TaskRun fails;
// or it does not, and makes the same attempt again in another pod, which does not count as a retry.
// Which of both is a race inside Tekton. Indelible must leave both possible: had the first pod
// published, the second could not, because results are written once.
func endedOrRunAgain(t *testing.T, p *place, with, without verdict) {
	t.Helper()
	for who, o := range map[string]verdict{"with Indelible": with, "Tekton alone": without} {
		if !strings.Contains(o.ending, "Succeeded True") &&
			!strings.Contains(o.ending, `Failed: "step-write" exited with code 255`) {
			t.Errorf("%s: %s\nwant the first pod's failure or the second's success", who, o)
		}
	}
	if !strings.Contains(with.ending, "Succeeded True") {
		if len(with.results) > 0 {
			t.Errorf("results of a pod that was stopped were published: %s", with)
		}
		return
	}
	if own := stepLog(p, p.taskRun("run").Status.PodName); with.results["text"] == "" ||
		!strings.HasSuffix(own, with.results["text"]) {
		t.Errorf("result text is %q, the pod that ended well wrote %q", with.results["text"], own)
	}
}

func killing(choose func(process) bool) func(*place, string) {
	return func(p *place, pod string) {
		p.t.Helper()
		p.kill(pod, "step-write", choose, syscall.SIGKILL)
	}
}

func cancelled(p *place, _ string) {
	p.t.Helper()
	_, err := cluster.Tekton.TektonV1().TaskRuns(p.namespace).Patch(p.ctx, "run", types.MergePatchType,
		[]byte(`{"spec":{"status":"TaskRunCancelled"}}`), metav1.PatchOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
}

func evicted(p *place, pod string) {
	p.t.Helper()
	p.disappears(func() error {
		return cluster.Kube.PolicyV1().Evictions(p.namespace).Evict(p.ctx, &policyv1.Eviction{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: pod},
		})
	})
}

// lost deletes the pod at once, as the control plane does with the pods of a node that is gone.
func lost(p *place, pod string) {
	p.t.Helper()
	p.disappears(func() error {
		return cluster.Kube.CoreV1().Pods(p.namespace).Delete(p.ctx, pod, *metav1.NewDeleteOptions(0))
	})
}

// disappears deletes a pod and, if Tekton creates another in its place, lets that succeed.
func (p *place) disappears(remove func() error) {
	p.t.Helper()
	before := p.noted().Status.Steps[1].Running.StartedAt
	if err := remove(); err != nil {
		p.t.Fatal(err)
	}
	tr, err := cluster.WaitTaskRun(p.ctx, p.namespace, "run", func(tr *pipelinev1.TaskRun) bool {
		return tr.IsDone() || secondRuns(tr) && tr.Status.Steps[1].Running.StartedAt.After(before.Time)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if !tr.IsDone() {
		p.release(tr.Status.PodName, "step-write")
	}
}
