//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"knative.dev/pkg/apis"

	"github.com/indelible-ci/indelible/pkg/result"
	"github.com/indelible-ci/indelible/test/harness"
)

const (
	// system is the namespace Indelible is installed in.
	system = "indelible-system"
	// bound ends a wait that will not succeed. It is far beyond what any flow takes, even with two
	// cores.
	bound = 5 * time.Minute
)

var cluster *harness.Cluster

func TestMain(m *testing.M) {
	var err error
	if cluster, err = harness.Connect(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	code := m.Run()
	removePrograms()
	os.Exit(code)
}

// place is a namespace of one test, opted in to Indelible, removed when the test ends.
type place struct {
	t         *testing.T
	ctx       context.Context
	namespace string
	// optedIn says that pods with results get the publisher here.
	optedIn bool
	// quiet leaves out the description of the namespace when the test fails.
	quiet bool
}

func newPlace(t *testing.T) *place {
	return newPlaceWith(t, map[string]string{result.EnabledKey: result.Enabled})
}

func newPlaceWith(t *testing.T, labels map[string]string) *place {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	t.Cleanup(cancel)
	p := &place{t: t, ctx: ctx, namespace: "e2e-" + rand.String(8),
		optedIn: labels[result.EnabledKey] == result.Enabled}
	if err := cluster.CreateNamespace(ctx, p.namespace, labels); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && !p.quiet {
			p.describe()
		}
		// Not p.ctx: it may be what ended the test.
		if err := cluster.DeleteNamespace(context.Background(), p.namespace); err != nil {
			t.Logf("deleting namespace %s: %v", p.namespace, err)
		}
	})
	return p
}

// create creates the objects of a YAML text, in which IMAGE stands for an image with a shell.
func (p *place) create(yaml string) {
	p.t.Helper()
	if err := cluster.Create(p.ctx, p.namespace, harness.WithImage(yaml)); err != nil {
		p.t.Fatal(err)
	}
}

// taskRun waits for a TaskRun to end. If the namespace opted in, it checks that the TaskRun had a
// publisher, without which many tests would pass as well.
func (p *place) taskRun(name string) *pipelinev1.TaskRun {
	p.t.Helper()
	tr := p.ended(name)
	if p.optedIn && hasResults(tr.Status.TaskSpec) {
		p.wantPublisher(tr)
	}
	return tr
}

// wantPublisher checks that a TaskRun's pod, if there is one and it did not opt out, has a
// publisher.
func (p *place) wantPublisher(tr *pipelinev1.TaskRun) {
	p.t.Helper()
	if tr.Status.PodName == "" {
		return
	}
	pod, err := cluster.Kube.CoreV1().Pods(p.namespace).Get(p.ctx, tr.Status.PodName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		p.t.Fatal(err)
	case pod.Annotations[result.InjectedAnnotation] == "" && pod.Annotations[result.EnabledKey] != result.Disabled:
		p.t.Errorf("pod %s has no publisher: %q", pod.Name, pod.Annotations[result.NotInjectedAnnotation])
	}
}

// hasResults says whether a Task declares results, of its own or of its steps.
func hasResults(spec *pipelinev1.TaskSpec) bool {
	return spec != nil && (len(spec.Results) > 0 ||
		slices.ContainsFunc(spec.Steps, func(s pipelinev1.Step) bool { return len(s.Results) > 0 }))
}

// ended waits for a TaskRun to end, whether it has a publisher or not.
func (p *place) ended(name string) *pipelinev1.TaskRun {
	p.t.Helper()
	tr, err := cluster.WaitTaskRun(p.ctx, p.namespace, name, harness.TaskRunDone)
	if err != nil {
		p.t.Fatal(err)
	}
	return tr
}

// pipelineRun waits for a PipelineRun to end.
func (p *place) pipelineRun(name string) *pipelinev1.PipelineRun {
	p.t.Helper()
	pr, err := cluster.WaitPipelineRun(p.ctx, p.namespace, name, harness.PipelineRunDone)
	if err != nil {
		p.t.Fatal(err)
	}
	return pr
}

func (p *place) pod(name string) *corev1.Pod {
	p.t.Helper()
	pod, err := cluster.Kube.CoreV1().Pods(p.namespace).Get(p.ctx, name, metav1.GetOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return pod
}

// running waits until a container of a TaskRun's pod runs, and returns the pod's name.
func (p *place) running(taskRun, container string) string {
	p.t.Helper()
	tr, err := cluster.WaitTaskRun(p.ctx, p.namespace, taskRun,
		func(tr *pipelinev1.TaskRun) bool { return tr.Status.PodName != "" })
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = cluster.WaitPod(p.ctx, p.namespace, tr.Status.PodName, func(pod *corev1.Pod) bool {
		for _, s := range pod.Status.ContainerStatuses {
			if s.Name == container && s.State.Running != nil {
				return true
			}
		}
		return false
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return tr.Status.PodName
}

// release ends the wait of a step for the file /tekton/home/go.
func (p *place) release(pod, container string) {
	p.t.Helper()
	p.kubectl("exec", pod, "-n", p.namespace, "-c", container, "--", "touch", "/tekton/home/go")
}

func (p *place) kubectl(args ...string) string {
	p.t.Helper()
	out, err := cluster.Kubectl(p.ctx, args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// make runs a target of the repository's Makefile against the cluster under test.
func (p *place) make(target string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.ctx, "make", "-C", "../..", target)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("make %s: %v\n%s", target, err, out)
	}
}

// describe logs what an on-call admin would look at, for a test that failed.
func (p *place) describe() {
	for _, args := range [][]string{
		{"get", "taskruns,pipelineruns,pods", "-n", p.namespace, "-o", "wide"},
		{"get", "events", "-n", p.namespace, "--sort-by=.lastTimestamp"},
	} {
		out, err := cluster.Kubectl(context.Background(), args...)
		p.t.Logf("kubectl %s\n%s%v", strings.Join(args, " "), out, err)
	}
}

func succeeded(t *testing.T, what string, condition *apis.Condition) {
	t.Helper()
	if !condition.IsTrue() {
		t.Fatalf("%s did not succeed: %s: %s", what, condition.GetReason(), condition.GetMessage())
	}
}

func taskRunSucceeded(t *testing.T, tr *pipelinev1.TaskRun) {
	t.Helper()
	succeeded(t, "TaskRun "+tr.Name, tr.Status.GetCondition(apis.ConditionSucceeded))
}

func pipelineRunSucceeded(t *testing.T, pr *pipelinev1.PipelineRun) {
	t.Helper()
	succeeded(t, "PipelineRun "+pr.Name, pr.Status.GetCondition(apis.ConditionSucceeded))
}

// failedWith checks that a TaskRun failed and that its condition's message holds every one of some
// texts.
func failedWith(t *testing.T, tr *pipelinev1.TaskRun, texts ...string) {
	t.Helper()
	condition := tr.Status.GetCondition(apis.ConditionSucceeded)
	if !condition.IsFalse() {
		t.Fatalf("TaskRun %s: condition Succeeded is %s, want False", tr.Name, condition.Status)
	}
	for _, text := range texts {
		if !strings.Contains(condition.Message, text) {
			t.Errorf("TaskRun %s: condition's message %q does not contain %q", tr.Name, condition.Message, text)
		}
	}
}

// wantResults checks all results of a TaskRun: no more, no less, values byte for byte.
func wantResults(t *testing.T, got []pipelinev1.TaskRunResult, want map[string]*pipelinev1.ResultValue) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d results, want %d", len(got), len(want))
	}
	for _, r := range got {
		w, ok := want[r.Name]
		if !ok {
			t.Errorf("result %s was not expected", r.Name)
			continue
		}
		wantValue(t, r.Name, r.Value, *w)
		if string(r.Type) != string(w.Type) {
			t.Errorf("result %s has type %q, want %q", r.Name, r.Type, w.Type)
		}
	}
}

func wantValue(t *testing.T, name string, got, want pipelinev1.ResultValue) {
	t.Helper()
	g, err := got.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	w, err := want.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if string(g) != string(w) {
		t.Errorf("result %s: got %s, want %s", name, fingerprint(g), fingerprint(w))
	}
}

// fingerprint shortens a value so that a failure message stays readable.
func fingerprint(value []byte) string {
	sum := sha256.Sum256(value)
	head := value
	if len(head) > 60 {
		head = head[:60]
	}
	return fmt.Sprintf("%d bytes, sha256 %s, %q…", len(value), hex.EncodeToString(sum[:6]), head)
}

// sample is what the shell command of writeSample writes.
func sample(n int) string { return harness.Sample(n) }

// text is the value of a string result.
func text(s string) *pipelinev1.ResultValue { return pipelinev1.NewStructuredValues(s) }

// events waits until a TaskRun has events of a reason, and returns their messages.
func (p *place) events(taskRun, reason string) []string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	messages, err := cluster.Events(ctx, p.namespace, taskRun, reason)
	if err != nil {
		p.t.Fatal(err)
	}
	return messages
}
