//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
)

// A PipelineRun that a CustomRun's controller made is in no status. If the topmost PipelineRun is
// cancelled, it may work on, here to roll back. The topmost leaves only when it is archived as
// well: the garbage collector would delete it.
func TestPipelinesOfCustomRunsLeaveTogether(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow,
		func(o *archiver.Options) { o.Keep = stay.Policies{{Name: "keep"}} })
	p.create(a.mine(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    tasks:
    - {name: custom, taskRef: {apiVersion: example.dev/v1, kind: Nested}}
`))
	customRuns := cluster.Tekton.TektonV1beta1().CustomRuns(p.namespace)
	var uid types.UID
	p.eventually("the CustomRun", func() (bool, error) {
		list, err := customRuns.List(p.ctx, metav1.ListOptions{})
		if err != nil || len(list.Items) == 0 {
			return false, err
		}
		uid = list.Items[0].UID
		return list.Items[0].Name == "run-custom", nil
	})
	p.create(a.mine(fmt.Sprintf(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run-inner, ownerReferences: [{apiVersion: tekton.dev/v1beta1, kind: CustomRun, name: run-custom, uid: %s, controller: true}]}
spec:
  pipelineSpec:
    tasks:
    - {name: work, taskSpec: {steps: [{name: a, image: IMAGE, script: "echo work"}]}}
    finally:
    - {name: roll-back, taskSpec: {steps: [{name: a, image: IMAGE, script: "sleep 30; echo rolled back"}]}}
`, uid)))
	p.running("run-inner-roll-back", "step-a")
	_, err := cluster.Tekton.TektonV1().PipelineRuns(p.namespace).Patch(p.ctx, "run", types.MergePatchType,
		[]byte(`{"spec":{"status":"Cancelled"}}`), metav1.PatchOptions{})
	p.must(err)
	p.eventually("the CustomRun to be cancelled", func() (bool, error) {
		custom, err := customRuns.Get(p.ctx, "run-custom", metav1.GetOptions{})
		return err == nil && custom.Spec.Status == "RunCancelled", err
	})
	_, err = customRuns.Patch(p.ctx, "run-custom", types.MergePatchType, []byte(`{"status":{"conditions":[
		{"type":"Succeeded","status":"False","reason":"Cancelled","lastTransitionTime":"2026-11-20T10:00:00Z"}]}}`),
		metav1.PatchOptions{}, "status")
	p.must(err)
	a.commit(p, "CustomRun", "run-custom")
	a.commit(p, "PipelineRun", "run")
	for _, c := range a.commits(p) {
		if c.Run.Name == "run-inner" {
			t.Fatal("the inner PipelineRun ended before the outer one was archived: this shows nothing")
		}
	}
	if inner := a.commit(p, "PipelineRun", "run-inner"); inner.Run.Status != "True" {
		t.Errorf("the inner PipelineRun ended with %s %s", inner.Run.Status, inner.Run.Reason)
	}
	logs := a.logsOf(p, a.commit(p, "TaskRun", "run-inner-roll-back"))
	if diff := cmp.Diff([]string{"step-a 0 complete: rolled back"}, logs); diff != "" {
		t.Errorf("the log of finally (-want +got):\n%s", diff)
	}
	p.eventually("that all runs are gone", func() (bool, error) {
		list, err := cluster.Tekton.TektonV1().PipelineRuns(p.namespace).List(p.ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		custom, err := customRuns.List(p.ctx, metav1.ListOptions{})
		return err == nil && len(list.Items)+len(custom.Items)+len(p.taskRuns()) == 0, err
	})
	a.fsck(p, 5)
}

// A status names 10,000 children, and paths for names. The PipelineRun of whoever wrote that is
// archived and leaves, and so does one of somebody else meanwhile.
func TestArchiveOfMadeUpChildren(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow,
		func(o *archiver.Options) { o.Keep = stay.Policies{{Name: "keep"}} })
	p.create(a.mine(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  managedBy: nobody.example/x
  pipelineSpec: {tasks: [{name: a, taskSpec: {steps: [{name: a, image: IMAGE}]}}]}
`))
	children := []string{`{"kind":"TaskRun","name":"../../../taskruns"}`, `{"kind":"TaskRun","name":""}`}
	for i := range 10_000 {
		children = append(children, fmt.Sprintf(`{"kind":"TaskRun","name":"x%d"}`, i))
	}
	_, err := cluster.Tekton.TektonV1().PipelineRuns(p.namespace).Patch(p.ctx, "run", types.MergePatchType,
		[]byte(`{"status":{"childReferences":[`+strings.Join(children, ",")+`],"completionTime":"2026-11-20T10:00:00Z",
		"conditions":[{"type":"Succeeded","status":"True","reason":"Succeeded",
		"lastTransitionTime":"2026-11-20T10:00:00Z"}]}}`), metav1.PatchOptions{}, "status")
	p.must(err)
	p.create(renamed(a.mine(taskRunOf("- {name: text}", "printf true > $(results.text.path)")), "run-other"))
	a.commit(p, "TaskRun", "run-other")
	a.commit(p, "PipelineRun", "run")
	p.eventually("both to leave", func() (bool, error) {
		list, err := cluster.Tekton.TektonV1().PipelineRuns(p.namespace).List(p.ctx, metav1.ListOptions{})
		return err == nil && len(list.Items)+len(p.taskRuns()) == 0, err
	})
	a.fsck(p, 2)
}
