//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// The last runs of each Pipeline and Task stay in the cluster with their children, failed ones
// counted separately; so do those that an earlier archiver has released.
func TestLastRunsStayInTheCluster(t *testing.T) {
	t.Parallel()
	// Eight runs, one after the other. A busy kubelet writes the file by which Tekton starts the first
	// step up to a minute and a half late.
	p := newLongPlace(t, 3*bound)
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
		p.create(fmt.Sprintf(
			"\napiVersion: tekton.dev/v1\nkind: %s\nmetadata: {name: %s, labels: {%s: %s}}\nspec: %s\n",
			kind, name, run.ClassLabel, a.class, spec))
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
	// The effect of a change of the policies is shown before it is made.
	all, err := archiver.WhoStays(p.ctx, cluster.Config, a.class,
		stay.Policies{{Name: "pinned", Status: []string{"Failed"}, Forever: true}, {Name: "last", Last: 1}}, time.Now())
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

// While its index cannot be opened the archiver archives but removes no run; then it continues. Its
// configuration says what stays in the cluster.
func TestArchiveWithoutItsIndex(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a := newTestArchive(t)
	x := newArchiverProcess(t, a.class,
		`{cluster: e2e, store: "file://FOLDER/archive", index: "sqlite://FOLDER/database/index.db", keep: [{name: last, last: 1}]}`)
	database := filepath.Join(x.dir, "database")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(database, nil, 0o600)) // where its folder ought to be
	must(os.Mkdir(filepath.Join(x.dir, "archive"), 0o700))
	var err error
	a.store, err = store.NewDirectory(filepath.Join(x.dir, "archive"))
	must(err)
	x.start(t, "spool")
	create := func(name string) {
		p.create(renamed(a.mine(taskRunOf("- {name: text}", "printf true > $(results.text.path)")), name))
	}
	create("one")
	a.commit(p, "TaskRun", "one")
	if tr := p.taskRun("one"); !slices.Contains(tr.Finalizers, run.Finalizer) {
		t.Error("a run that is not in the index is released")
	}
	must(os.Remove(database))
	p.archived("one")
	create("two")
	p.eventually("the run before the last to leave", func() (bool, error) {
		_, err := cluster.Tekton.TektonV1().TaskRuns(p.namespace).Get(p.ctx, "one", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	p.archived("two")
	opened, err := index.OpenReader(p.ctx, "sqlite://"+filepath.Join(database, "index.db"))
	must(err)
	defer opened.Close()
	p.eventually("the index to be complete", func() (bool, error) { return opened.Complete(p.ctx, "e2e") })
	if totals := a.check(p, fsck.Options{Index: opened}); totals.Commits != 2 || totals.Rows != 2 {
		t.Errorf("%+v, want 2 runs and rows", totals)
	}
}

// Retention treats a PipelineRun and its children as one, linked as in real runs' records.
func TestRetentionOfAPipelineRun(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Collect)
	p.create(a.mine(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    tasks:
    - {name: good, taskSpec: {steps: [{name: a, image: IMAGE, script: "echo good"}]}}
    - {name: bad, runAfter: [good], taskSpec: {steps: [{name: a, image: IMAGE, script: "exit 3"}]}}
`))
	a.commit(p, "PipelineRun", "run")
	good := a.commit(p, "TaskRun", "run-good")
	_, err := index.Sync(p.ctx, index.SyncOptions{Store: a.store, Index: a.index, Cluster: "e2e"})
	p.must(err)
	left := func(status string, want int) {
		t.Helper()
		_, err := retention.Apply(p.ctx, retention.Options{
			Store: a.store, Index: a.index, Cluster: "e2e",
			Policies: []retention.Policy{{Name: "p", Status: []string{status}}},
			Now:      time.Now(),
		})
		p.must(err)
		if got := len(a.commits(p)); got != want {
			t.Errorf("runs that are %s: %d are left, want %d", status, got, want)
		}
	}
	left(retention.Succeeded, 3) // run-good is, but the PipelineRun is not
	p.must(retention.Hold(p.ctx, a.store, "e2e", good.ID(), retention.HoldText{Reason: "case 12", At: time.Now()}))
	left(retention.Failed, 3)
	a.fsck(p, 3)
	p.must(retention.Unhold(p.ctx, a.store, "e2e", good.ID()))
	left(retention.Failed, 0)
}
