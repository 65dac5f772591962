//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
)

// Of each Pipeline and Task the last runs stay in the cluster, with what they made, failed ones for themselves; also of those that an archiver
// before has released.
func TestLastRunsStayInTheCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a := newArchivist(t, directory(t), archiver.Collect, func(o *archiver.Options) {
		o.Keep = stay.Policies{{Name: "failures", Status: []string{"Failed"}, For: time.Hour}, {Name: "last", Last: 2}}
	})
	p.create(`
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: build}
spec:
  params: [{name: code, default: "0"}]
  steps: [{name: a, image: IMAGE, script: "exit $(params.code)"}]
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: release}
spec: {tasks: [{name: build, taskRef: {name: build}}]}
`)
	run := func(kind, name, spec string) {
		p.create(fmt.Sprintf("\napiVersion: tekton.dev/v1\nkind: %s\nmetadata: {name: %s, labels: {%s: %s}}\nspec: %s\n", kind, name, archiver.ClassLabel, a.class, spec))
		a.commit(p, kind, name)
	}
	task := func(name string) { run("TaskRun", name, "{taskRef: {name: build}}") }
	pipeline := func(name string) { run("PipelineRun", name, "{pipelineRef: {name: release}}") }
	stays := func(want ...string) {
		t.Helper()
		var got []string
		defer func() {
			if t.Failed() {
				t.Logf("in the cluster: %q", got)
			}
		}()
		p.eventually("only "+strings.Join(want, " ")+" in the cluster", func() (bool, error) {
			got = nil
			taskRuns, err := cluster.Tekton.TektonV1().TaskRuns(p.namespace).List(p.ctx, metav1.ListOptions{})
			if err != nil {
				return false, err
			}
			for i := range taskRuns.Items {
				got = append(got, taskRuns.Items[i].Name)
			}
			pipelineRuns, err := cluster.Tekton.TektonV1().PipelineRuns(p.namespace).List(p.ctx, metav1.ListOptions{})
			if err != nil {
				return false, err
			}
			for i := range pipelineRuns.Items {
				got = append(got, pipelineRuns.Items[i].Name)
			}
			slices.Sort(got)
			return slices.Equal(got, want), nil
		})
	}
	run("TaskRun", "bad", `{taskRef: {name: build}, params: [{name: code, value: "3"}]}`)
	for _, name := range []string{"t1", "t2", "t3"} {
		task(name)
	}
	stays("bad", "t2", "t3")
	for _, name := range []string{"p1", "p2", "p3"} {
		pipeline(name)
	}
	stays("bad", "p2", "p2-build", "p3", "p3-build", "t2", "t3")
	a.stop()
	a.start(t, archiver.Collect)
	task("t4")
	stays("bad", "p2", "p2-build", "p3", "p3-build", "t3", "t4")
	a.fsck(p, 11)
	// What a change of the policies would do is shown before it is made.
	all, err := archiver.WhoStays(p.ctx, cluster.Config, a.class, stay.Policies{{Name: "pinned", Status: []string{"Failed"}, Forever: true}, {Name: "last", Last: 1}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var leaving []string
	for _, s := range all {
		if s.Leaves() {
			leaving = append(leaving, s.Kind+" "+s.Name)
		}
	}
	slices.Sort(leaving)
	if want := []string{"PipelineRun p2", "TaskRun t3"}; len(all) != 5 || !slices.Equal(leaving, want) {
		t.Errorf("of %d runs %q would leave, want %q of 5", len(all), leaving, want)
	}
}
