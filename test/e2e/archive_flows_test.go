//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// archiveFlow is a TaskRun's life, and what the archive must contain at its end. The TaskRun is
// named run.
type archiveFlow struct {
	name string
	mode archiver.LogMode // follow by default
	// spec is the TaskRun's, after its taskSpec.
	spec  string
	steps string
	// act is called when the step "a" has printed "started".
	act func(p *place, pod string)
	// timed: the run's timeout also counts what the pod needs to start. If the step "a" has not
	// printed "started" when it is over, the flow begins again.
	timed bool
	// status and reason are the condition's in the commit.
	status, reason string
	// logs are those of the steps, as logsOf describes them. Where it depends on who is faster, each
	// of or is as good.
	logs, or []string
}

const endlessStep = `- {name: a, image: IMAGE, script: "exec 2>/dev/null; trap 'echo stopped; exit 1' TERM; echo started; while :; do sleep 0.1; done"}`

func TestArchiveFlows(t *testing.T) {
	t.Parallel()
	flows := []archiveFlow{
		{
			name:   "a TaskRun that succeeds",
			steps:  "- {name: a, image: IMAGE, script: \"echo started\"}\n    - {name: b, image: IMAGE, script: \"echo b\"}",
			status: "True", reason: "Succeeded", logs: []string{"step-a 0 complete: started", "step-b 0 complete: b"},
		},
		{
			name: "a TaskRun that fails, and the step after it that never ran",
			steps: "- {name: a, image: IMAGE, script: \"echo started; exit 3\"}\n    - {name: b, image: IMAGE, script: \"echo " +
				"b\"}",
			status: "False", reason: "StepFailed", logs: []string{"step-a 0 complete: started",
				"step-b 0 complete: Skipping step because a previous step failed"},
		},
		{
			name: "a TaskRun that is cancelled, with the last words of its step", steps: endlessStep, act: cancelled,
			status: "False", reason: "TaskRunCancelled", logs: []string{"step-a 0 complete: started stopped"},
		},
		{
			name: "a cancelled TaskRun's log where logs are not followed is gone with its pod", mode: archiver.Collect,
			steps:  endlessStep,
			act:    cancelled,
			status: "False", reason: "TaskRunCancelled", logs: []string{"step-a 0 missing: the pod run-pod was gone"},
			or: []string{"step-a 0 missing: the kubelet had no log", "step-a 0 truncated: started",
				"step-a 0 truncated: started stopped", "step-a 0 complete: started stopped"},
		},
		{
			name: "a TaskRun that takes too long", spec: "timeout: 15s", steps: endlessStep, timed: true,
			status: "False", reason: "TaskRunTimeout", logs: []string{"step-a 0 complete: started stopped"},
		},
		{
			name: "all attempts of a TaskRun that is tried again", spec: "retries: 2",
			steps:  `- {name: a, image: IMAGE, script: "echo started attempt $(context.task.retry-count); [ $(context.task.retry-count) = 2 ]"}`,
			status: "True", reason: "Succeeded",
			logs: []string{"step-a 0 complete: started attempt 0", "step-a 1 complete: started attempt 1",
				"step-a 2 complete: started attempt 2"},
		},
		{
			name: "a TaskRun whose pod is deleted under it", steps: endlessStep,
			act: func(p *place, pod string) {
				p.kubectl("delete", "pod", pod, "-n", p.namespace, "--wait=false")
				p.taskRun("run")
			},
			status: "False", reason: "StepFailed", logs: []string{"step-a 0 complete: started stopped"},
		},
		{
			name: "a TaskRun that never starts, as its image is not there", spec: "timeout: 10s",
			steps:  `- {name: a, image: "indelible.invalid/not-there:1", script: "echo started"}`,
			status: "False", logs: []string{"step-a 0 missing: the container did not start"},
			or: []string{"step-a 0 missing: the pod run-pod was gone"},
		},
		{
			name: "no logs where none are wanted", mode: archiver.None,
			steps:  `- {name: a, image: IMAGE, script: "echo started"}`,
			status: "True", reason: "Succeeded",
			logs: []string{"step-a 0 missing: the archiver was told to store no logs"},
		},
	}
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for tries := 1; !f.run(t); tries++ {
				if tries == 4 {
					t.Fatal("the run's timeout was over before its step began, 4 times")
				}
			}
		})
	}
}

// run reports false, having compared nothing, if a timed flow's step did not begin in time.
func (f archiveFlow) run(t *testing.T) bool {
	p := newPlace(t)
	if f.mode == "" {
		f.mode = archiver.Follow
	}
	a := newArchivist(t, directory(t), f.mode)
	p.create(a.mine(fmt.Sprintf(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  %s
  taskSpec:
    steps:
    %s
`, f.spec, f.steps)))
	if f.timed && !p.beginsInTime() {
		return false
	}
	if f.act != nil {
		pod := p.running("run", "step-a")
		waitForLog(p, pod, "step-a", "started")
		f.act(p, pod)
	}
	c := a.commit(p, "TaskRun", "run")
	tr := p.archived("run")
	if c.Run.UID != string(tr.UID) || c.Run.Status != f.status || f.reason != "" && c.Run.Reason != f.reason {
		t.Errorf("status %s, reason %s; want %s, %s", c.Run.Status, c.Run.Reason, f.status, f.reason)
	}
	got := a.logsOf(p, c)
	if diff := cmp.Diff(f.logs, got); diff != "" && (len(got) != 1 || !slices.Contains(f.or, got[0])) {
		t.Errorf("logs: %s", diff)
	}
	a.indexed(p, c)
	a.fsck(p, 1)
	return true
}

// beginsInTime reports whether step "a" of the TaskRun "run" prints "started" before the run ends.
// Its container's state does not tell: Tekton's entrypoint waits for a file from the downward API,
// which the kubelet now and then writes a minute late.
func (p *place) beginsInTime() (begins bool) {
	p.t.Helper()
	p.eventually(`"started" in the log, or the end of the run`, func() (bool, error) {
		tr, err := cluster.TaskRun(p.ctx, p.namespace, "run")
		if err != nil {
			return false, err
		}
		if tr.Status.PodName != "" {
			log, _ := cluster.Kube.CoreV1().Pods(p.namespace).GetLogs(tr.Status.PodName,
				&corev1.PodLogOptions{Container: "step-a"}).DoRaw(p.ctx) // there may be no container yet, or no longer
			begins = begins || strings.Contains(string(log), "started")
		}
		return begins || tr.IsDone(), nil
	})
	return begins
}

// A PipelineRun is archived after its TaskRuns and CustomRuns, all under one Result; then all of it
// may be deleted at once.
func TestArchiveOfAPipelineRun(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	p.create(a.mine(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run, annotations: {results.tekton.dev/resultAnnotations: '{"team":"checkout"}'}}
spec:
  pipelineSpec:
    tasks:
    - {name: one, taskSpec: {steps: [{name: a, image: IMAGE, script: "echo one"}]}}
    - {name: two, runAfter: [one], taskSpec: {steps: [{name: a, image: IMAGE, script: "echo two"}]}}
    - {name: other, taskRef: {apiVersion: example.dev/v1, kind: Nobody}}
`))
	// No controller handles the CustomRun: the test does, and leaves the completion time out.
	p.finishCustomRun("run-other")
	pr := a.commit(p, "PipelineRun", "run")
	for kind, names := range map[string][]string{"TaskRun": {"run-one", "run-two"}, "CustomRun": {"run-other"}} {
		for _, name := range names {
			c := a.commit(p, kind, name)
			if !c.CommittedAt.Before(pr.CommittedAt) {
				t.Errorf("%s was committed at %s, the PipelineRun at %s", name, c.CommittedAt, pr.CommittedAt)
			}
			if c.Run.Result != pr.Run.UID {
				t.Errorf("%s is in the Result %s, want %s", name, c.Run.Result, pr.Run.UID)
			}
			a.indexed(p, c)
		}
	}
	if diff := cmp.Diff(map[string]string{"team": "checkout"}, pr.Run.ResultAnnotations); diff != "" {
		t.Error(diff)
	}
	p.kubectl("delete", "pipelinerun", "run", "-n", p.namespace, "--timeout=1m")
	p.gone("run-one", "run-two")
	a.fsck(p, 4)
}

// finishCustomRun waits for a CustomRun and sets the status of a successful one.
func (p *place) finishCustomRun(name string) {
	p.t.Helper()
	p.eventually("CustomRun "+name, func() (bool, error) {
		_, err := cluster.Tekton.TektonV1beta1().CustomRuns(p.namespace).Patch(p.ctx, name, types.MergePatchType,
			[]byte(`{"status":{"conditions":[{"type":"Succeeded","status":"True","reason":"Done","lastTransitionTime":"2026-11-20T10:00:00Z"}]}}`), metav1.PatchOptions{},
			"status")
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// gone waits until TaskRuns no longer exist.
func (p *place) gone(names ...string) {
	p.t.Helper()
	for _, name := range names {
		p.eventually("the end of TaskRun "+name, func() (bool, error) {
			_, err := cluster.TaskRun(p.ctx, p.namespace, name)
			if apierrors.IsNotFound(err) {
				return true, nil
			}
			return false, err
		})
	}
}

// A PipelineRun that is deleted while it runs does not wait for its children, which are archived as
// they were.
func TestArchiveOfADeletedPipelineRun(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	p.create(a.mine(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    tasks:
    - {name: one, taskSpec: {steps: [{name: a, image: IMAGE, script: "echo started; sleep 3600"}]}}
`))
	waitForLog(p, p.running("run-one", "step-a"), "step-a", "started")
	p.kubectl("delete", "pipelinerun", "run", "-n", p.namespace, "--timeout=1m")
	pr, tr := a.commit(p, "PipelineRun", "run"), a.commit(p, "TaskRun", "run-one")
	if pr.Run.Status != "Unknown" || tr.Run.Status != "Unknown" {
		t.Errorf("status %s and %s, want Unknown: they were running", pr.Run.Status, tr.Run.Status)
	}
	if diff := cmp.Diff([]string{"step-a 0 truncated: started"}, a.logsOf(p, tr)); diff != "" {
		t.Error(diff)
	}
	p.gone("run-one")
}

// A run deleted before anything protected it is archived from the watch's last state of it.
func TestArchiveOfAnUnprotectedRun(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	a.stop()
	p.create(a.mine(taskRunOf("- {name: text}", "echo hello; printf true > $(results.text.path)")))
	taskRunSucceeded(t, p.taskRun("run"))
	p.kubectl("patch", "taskrun", "run", "-n", p.namespace, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	holding := &holdingStore{Store: a.store, hold: make(chan struct{})}
	a.store = holding
	a.start(t, archiver.Follow)
	p.kubectl("delete", "taskrun", "run", "-n", p.namespace)
	p.gone("run")
	close(holding.hold)
	c := a.commit(p, "TaskRun", "run")
	if c.Run.Reason != "Succeeded" {
		t.Errorf("reason %s", c.Run.Reason)
	}
	a.indexed(p, c)
}

// Runs that opted out are left alone.
func TestArchiveOptOut(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	p.create(a.mine(strings.Replace(taskRunOf("- {name: text}", "printf true > $(results.text.path)"), "{name: run}",
		"{name: run, annotations: {indelible.dev/archive: disabled}}", 1)))
	p.create(renamed(a.mine(taskRunOf("- {name: text}", "printf true > $(results.text.path)")), "run-wanted"))
	tr := p.taskRun("run")
	p.archived("run-wanted")
	if slices.Contains(tr.Finalizers, run.Finalizer) || tr.Annotations[archivedAt] != "" {
		t.Errorf("finalizers %v, annotations %v", tr.Finalizers, tr.Annotations)
	}
	a.fsck(p, 1)
}

// The archiver waits for what Tekton Chains adds to a finished run, and archives it.
func TestArchiveWaitsForChains(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	p.create(a.mine(strings.Replace(taskRunOf("- {name: text}", "printf true > $(results.text.path)"), "{name: run}",
		"{name: run, finalizers: [chains.tekton.dev]}", 1)))
	p.taskRun("run")
	p.eventually("the archiver to wait for Chains", func() (bool, error) {
		return a.metric(t, "indelible_archive_waiting_runs", "chains") == 1, nil
	})
	p.kubectl("patch", "taskrun", "run", "-n", p.namespace, "--type=merge", "-p",
		`{"metadata":{"finalizers":["`+run.Finalizer+`"],"annotations":{"chains.tekton.dev/signed":"true"}}}`)
	c := a.commit(p, "TaskRun", "run")
	if record := a.content(p, c.Parts[0]); !strings.Contains(record, `"chains.tekton.dev/signed":"true"`) {
		t.Error("the record has no signature")
	}
	p.archived("run")
}

// A namespace that is deleted with running runs in it disappears, and its runs are archived.
func TestArchiveOfADeletedNamespace(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	p.create(a.mine(taskRunOf("- {name: text}", "echo started; sleep 3600")))
	p.create(renamed(a.mine(taskRunOf("- {name: text}", "echo done")), "run-done"))
	p.taskRun("run-done")
	waitForLog(p, p.running("run", "step-write"), "step-write", "started")
	began := time.Now()
	p.kubectl("delete", "namespace", p.namespace, "--timeout=3m")
	t.Logf("the namespace was gone after %s", time.Since(began).Round(time.Second))
	for _, name := range []string{"run", "run-done"} {
		c := a.commit(p, "TaskRun", name)
		if log := partsOf(c, manifest.Log)[0]; log.State == manifest.Missing {
			t.Errorf("log of %s: %+v", name, log)
		}
	}
}
