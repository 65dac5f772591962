//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/test/harness"
)

const (
	finalizer  = "indelible.dev/archive"
	archivedAt = "indelible.dev/archived"
)

// protectable are runs of the three kinds in the versions the API server takes, none of which ever
// starts a pod.
var protectable = []struct{ version, resource, yaml string }{
	{"v1", "taskruns", `{kind: TaskRun, spec: {taskRef: {name: absent}}}`},
	{"v1beta1", "taskruns", `{kind: TaskRun, spec: {taskRef: {name: absent}}}`},
	{"v1", "pipelineruns", `{kind: PipelineRun, spec: {status: PipelineRunPending, pipelineRef: {name: absent}}}`},
	{"v1beta1", "pipelineruns", `{kind: PipelineRun, spec: {status: PipelineRunPending, pipelineRef: {name: absent}}}`},
	{"v1beta1", "customruns", `{kind: CustomRun, spec: {customRef: {apiVersion: example.dev/v1, kind: Nobody}}}`},
}

// createRun creates a run with that metadata, and returns it as the API server answers: as it was
// from the first moment on.
func createRun(
	p *place, version, resource, text string, metadata map[string]any, dryRun ...string,
) *unstructured.Unstructured {
	p.t.Helper()
	objects, err := dynamic.NewForConfig(cluster.Config)
	if err != nil {
		p.t.Fatal(err)
	}
	object := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		p.t.Fatal(err)
	}
	object["apiVersion"], object["metadata"] = "tekton.dev/"+version, metadata
	created, err := objects.Resource(schema.GroupVersionResource{Group: "tekton.dev", Version: version,
		Resource: resource}).Namespace(p.namespace).
		Create(p.ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{DryRun: dryRun})
	if err != nil {
		p.t.Fatalf("creating %s %s: %v", version, resource, err)
	}
	return created
}

// Runs have the archive's finalizer from their creation, before anybody can delete them.
func TestRunsAreProtectedAtCreation(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	named := func(extra map[string]any) map[string]any {
		extra["generateName"] = "run-"
		return extra
	}
	for _, run := range protectable {
		for _, c := range []struct {
			name     string
			metadata map[string]any
			want     []string
		}{
			{"protect", named(map[string]any{}), []string{finalizer}},
			{"protect behind another's finalizer", named(map[string]any{"finalizers": []any{"example.dev/last"}}),
				[]string{"example.dev/last", finalizer}},
			{"leave alone what is another archiver's",
				named(map[string]any{"labels": map[string]any{"indelible.dev/archiver": "another"}}), nil},
			{
				"leave alone what opted out",
				named(map[string]any{"annotations": map[string]any{finalizer: "disabled"}}), nil,
			},
		} {
			t.Run(fmt.Sprintf("%s: %s %s", c.name, run.version, run.resource), func(t *testing.T) {
				// As a dry run: it passes the same admission, and a run with another archiver's
				// finalizer would stay for ever.
				got := createRun(p, run.version, run.resource, run.yaml, c.metadata, metav1.DryRunAll).GetFinalizers()
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
		t.Run(fmt.Sprintf("protect for good: %s %s", run.version, run.resource), func(t *testing.T) {
			if got := createRun(p, run.version, run.resource, run.yaml,
				named(map[string]any{})).GetFinalizers(); !slices.Equal(got, []string{finalizer}) {
				t.Errorf("finalizers %q", got)
			}
		})
	}
}

// What Tekton's controller creates for a PipelineRun is protected as well, and opted out if the
// PipelineRun is.
func TestChildrenAreProtectedAtCreation(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const spec = `{kind: PipelineRun, spec: {pipelineSpec: {tasks: [
  {name: child, taskSpec: {steps: [{name: wait, image: IMAGE, script: "until [ -e /tekton/home/go ]; do sleep 0.2; done"}]}}]}}}`
	withImage := harness.WithImage(spec)
	createRun(p, "v1", "pipelineruns", withImage, map[string]any{"name": "kept"})
	createRun(p, "v1", "pipelineruns", withImage,
		map[string]any{"name": "out", "annotations": map[string]any{finalizer: "disabled"}})
	exists := func(*pipelinev1.TaskRun) bool { return true }
	kept, err := cluster.WaitTaskRun(p.ctx, p.namespace, "kept-child", exists)
	p.must(err)
	if who := addedBy(t, kept.ManagedFields); !slices.Contains(kept.Finalizers, finalizer) ||
		who == "indelible-archiver" {
		t.Errorf("finalizers %q, from %q", kept.Finalizers, who)
	}
	out, err := cluster.WaitTaskRun(p.ctx, p.namespace, "out-child", exists)
	p.must(err)
	if slices.Contains(out.Finalizers, finalizer) {
		t.Error("the TaskRun of a PipelineRun that opted out is protected")
	}
	for _, name := range []string{"kept", "out"} {
		p.release(p.running(name+"-child", "step-wait"), "step-wait")
		pipelineRunSucceeded(t, p.pipelineRun(name))
	}
}

// addedBy is the field manager of the archive's finalizer: whoever created the run, if it was added
// at admission.
func addedBy(t *testing.T, managed []metav1.ManagedFieldsEntry) string {
	t.Helper()
	for _, entry := range managed {
		var fields struct {
			Metadata struct {
				Finalizers map[string]any `json:"f:finalizers"`
			} `json:"f:metadata"`
		}
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			t.Fatal(err)
		}
		if _, ok := fields.Metadata.Finalizers[`v:"`+finalizer+`"`]; ok {
			return entry.Manager
		}
	}
	return ""
}

// A run that opted out is neither protected nor archived: by the time a later one is archived, it
// has been left alone.
func TestOptedOutRunIsNotArchived(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for name, annotations := range map[string]string{"out": `{indelible.dev/archive: disabled}`, "kept": `{}`} {
		p.create(strings.Replace(taskRunOf(`- {name: text}`, writeSample(5, "text")), "{name: run}", "{name: "+name+
			", annotations: "+annotations+"}", 1))
		taskRunSucceeded(t, p.taskRun(name))
	}
	p.archived("kept")
	out := p.taskRun("out")
	if out.Annotations[archivedAt] != "" || slices.Contains(out.Finalizers, finalizer) {
		t.Errorf("annotations %q, finalizers %q", out.Annotations, out.Finalizers)
	}
	p.kubectl("delete", "taskrun", "out", "-n", p.namespace, "--timeout=30s")
}

// archived waits until a TaskRun is in the archive and no longer held.
func (p *place) archived(name string) *pipelinev1.TaskRun {
	p.t.Helper()
	tr, err := cluster.WaitTaskRun(p.ctx, p.namespace, name, func(tr *pipelinev1.TaskRun) bool {
		return tr.Annotations[archivedAt] != "" && !slices.Contains(tr.Finalizers, finalizer)
	})
	p.must(err)
	return tr
}

// Without the webhook configuration Tekton works as always, and the archiver protects the runs it
// finds.
func TestProtectionAway(t *testing.T) {
	p := newPlace(t)
	withoutProtection(p)
	p.create(waiting(writeSample(5, "text")))
	tr, err := cluster.WaitTaskRun(p.ctx, p.namespace, "run",
		func(tr *pipelinev1.TaskRun) bool { return slices.Contains(tr.Finalizers, finalizer) })
	p.must(err)
	if who := addedBy(t, tr.ManagedFields); who != "indelible-archiver" {
		t.Errorf("protected by %q", who)
	}
	p.release(p.running("run", "step-write"), "step-write")
	taskRunSucceeded(t, p.taskRun("run"))
	p.archived("run")
}

// withoutProtection removes the webhook configuration that protects runs at their creation, until
// the test ends.
func withoutProtection(p *place) {
	p.t.Helper()
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		back := &place{t: p.t, ctx: ctx, namespace: p.namespace}
		back.kubectl("apply", "-f", "../../config/archive/60-protect.yaml")
		back.awaitProtection(true)
	})
	p.kubectl("delete", "mutatingwebhookconfiguration", "indelible-protect")
	p.awaitProtection(false)
}

// awaitProtection waits until API servers have noticed what became of the webhook configuration,
// and it has its CA.
func (p *place) awaitProtection(want bool) {
	p.t.Helper()
	run := protectable[0]
	for p.ctx.Err() == nil {
		probe := createRun(p, run.version, run.resource, run.yaml, map[string]any{"generateName": "probe-"},
			metav1.DryRunAll)
		if slices.Contains(probe.GetFinalizers(), finalizer) == want {
			return
		}
	}
	p.t.Fatalf("runs are still protected at their creation: %v", !want)
}

// runsInAllStates leaves runs in a namespace: archived, running, and never started.
func runsInAllStates(p *place) {
	p.t.Helper()
	p.create(strings.Replace(taskRunOf(`- {name: text}`, writeSample(80_000, "text")), "{name: run}",
		"{name: finished}",
		1))
	taskRunSucceeded(p.t, p.taskRun("finished"))
	p.archived("finished")
	p.create(waiting(writeSample(5, "text")))
	p.running("run", "step-write")
	for _, run := range protectable {
		createRun(p, run.version, run.resource, run.yaml, map[string]any{"generateName": "run-"})
	}
	if held := p.held(); !slices.Contains(held, "TaskRun "+p.namespace+"/run") {
		p.t.Errorf("held are only %q", held)
	}
}

// held lists all runs of the cluster that have the archive's finalizer.
func (p *place) held() []string {
	p.t.Helper()
	var list unstructured.UnstructuredList
	p.must(json.Unmarshal([]byte(p.kubectl("get", "taskruns,pipelineruns,customruns", "-A", "-o", "json")), &list))
	var held []string
	for _, run := range list.Items {
		if slices.Contains(run.GetFinalizers(), finalizer) {
			held = append(held, run.GetKind()+" "+run.GetNamespace()+"/"+run.GetName())
		}
	}
	return held
}

// wantArchived reads the finished one of runsInAllStates from the archive, after it was deleted
// from the cluster.
func wantArchived(p *place) {
	p.t.Helper()
	if _, err := cluster.TaskRun(p.ctx, p.namespace, "finished"); !apierrors.IsNotFound(err) {
		p.t.Fatalf("the TaskRun is still in the cluster: %v", err)
	}
	var back pipelinev1.TaskRun
	p.must(json.Unmarshal(
		[]byte(p.kubectl("exec", "-n", system, "deployment/indelible-archiver", "--", "/archiver", "get",
			p.namespace+"/finished",
			"-o", "json")), &back))
	wantResults(p.t, back.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(sample(80_000))})
}
