//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A TaskRun's way from its first step to the archive, and out of the cluster. The archiver runs in
// the test.
func TestArchiveOfATaskRun(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newTestArchive(t)
	p.create(strings.Replace(a.mine(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run, annotations: {results.tekton.dev/result: PLACE/results/push-17}}
spec:
  taskSpec:
    results: [{name: text}]
    steps:
    - {name: build, image: IMAGE, script: "echo building; until [ -e /tekton/home/go ]; do sleep 0.2; done; printf done > $(results.text.path)"}
    - {name: test, image: IMAGE, script: "seq 1 20000; printf 'no newline at the end'"}
`), "PLACE", p.namespace, 1))
	ref := run.Reference{Kind: "TaskRun", Namespace: p.namespace, Name: "run"}
	pod := p.running("run", "step-build")
	a.want(p, ref, archiver.Waiting)
	p.release(pod, "step-build")
	taskRunSucceeded(t, p.taskRun("run"))

	var before map[string]any
	if err := json.Unmarshal([]byte(p.kubectl("get", "taskrun", "run", "-n", p.namespace, "-o", "json")),
		&before); err != nil {
		t.Fatal(err)
	}
	a.want(p, ref, archiver.Archived)
	a.want(p, ref, archiver.Archived) // again: nothing changes

	commit := a.onlyCommit(p)
	var record map[string]any
	if err := json.Unmarshal([]byte(a.content(p, commit.Parts[0])), &record); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, record); diff != "" {
		t.Errorf("the record is not what kubectl showed: %s", diff)
	}
	var numbers strings.Builder
	for i := 1; i <= 20000; i++ {
		fmt.Fprintln(&numbers, i)
	}
	logs := partsOf(commit, manifest.Log)
	if got := a.content(p, logs[0]); got != "building\n" {
		t.Errorf("log of build: %q", got)
	}
	if got, want := a.content(p, logs[1]), numbers.String()+"no newline at the end"; got != want {
		t.Errorf("log of test: %s, want %s", fingerprint([]byte(got)), fingerprint([]byte(want)))
	}
	var events corev1.EventList
	if err := json.Unmarshal([]byte(a.content(p, partsOf(commit, manifest.Events)[0])), &events); err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{"Started", "Succeeded", "Scheduled"} {
		if !slices.ContainsFunc(events.Items, func(e corev1.Event) bool { return e.Reason == reason }) {
			t.Errorf("no event %s", reason)
		}
	}
	tr := p.taskRun("run")
	for key, want := range map[string]string{
		"results.tekton.dev/result": p.namespace + "/results/push-17",
		"results.tekton.dev/record": p.namespace + "/results/push-17/records/" + string(tr.UID),
		"results.tekton.dev/stored": "true",
	} {
		if got := tr.Annotations[key]; got != want {
			t.Errorf("annotation %s is %q, want %q", key, got, want)
		}
	}
	if slices.Contains(tr.Finalizers, run.Finalizer) {
		t.Error("not released")
	}
	a.want(p, ref, archiver.Archived) // it stays for its time
	a.now = func() time.Time { return time.Now().Add(keep) }
	a.want(p, ref, archiver.Pruned)
	if _, err := cluster.TaskRun(p.ctx, p.namespace, "run"); !apierrors.IsNotFound(err) {
		t.Errorf("still there: %v", err)
	}
	a.fsck(p, 1)
}

// A run that is deleted while it runs stays until it is archived in that state.
func TestArchiveOfADeletedTaskRun(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newTestArchive(t)
	p.create(a.mine(taskRunOf("- {name: text}", "echo started; until [ -e /tekton/home/go ]; do sleep 0.2; done")))
	ref := run.Reference{Kind: "TaskRun", Namespace: p.namespace, Name: "run"}
	pod := p.running("run", "step-write")
	waitForLog(p, pod, "step-write", "started") // Tekton's entrypoint runs before the script does
	a.want(p, ref, archiver.Waiting)
	p.kubectl("delete", "taskrun", "run", "-n", p.namespace, "--wait=false")
	a.want(p, ref, archiver.Archived)
	a.want(p, ref, archiver.Gone)
	commit := a.onlyCommit(p)
	if log := partsOf(commit, manifest.Log)[0]; log.State != manifest.Truncated || a.content(p, log) != "started\n" {
		t.Errorf("log: %+v", log)
	}
	if commit.Run.Status != "Unknown" {
		t.Errorf("status %s, want Unknown: it was running", commit.Run.Status)
	}
	a.fsck(p, 1)
}

// testArchive is a test's own archive, with an archiver that handles only runs that name it.
type testArchive struct {
	store    store.Store
	archiver *archiver.Archiver
	now      func() time.Time
	class    string
}

// keep is how long archived runs stay in the cluster.
const keep = time.Hour

func newTestArchive(t *testing.T) *testArchive { t.Helper(); return newTestArchiveIn(t, t.TempDir()) }

func newTestArchiveIn(t *testing.T, root string) *testArchive {
	t.Helper()
	s, err := store.NewDirectory(root)
	if err != nil {
		t.Fatal(err)
	}
	a := &testArchive{store: s, now: time.Now, class: strings.ToLower(rand.Text())}
	a.archiver = a.with(t, s)
	return a
}

// with is an archiver that stores into s.
func (a *testArchive) with(t *testing.T, s store.Store) *archiver.Archiver {
	t.Helper()
	made, err := archiver.New(archiver.Options{
		Cluster: "e2e", Class: a.class, Store: s, Config: cluster.Config, Version: "e2e", Logs: archiver.Collect,
		Keep: stay.Policies{{Name: "keep", For: keep}},
		Now:  func() time.Time { return a.now() }, Log: testr.New(t),
	})
	if err == nil {
		err = made.Watch(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// mine makes a run's YAML name this archive's archiver.
func (a *testArchive) mine(yaml string) string {
	return strings.Replace(yaml, "metadata: {name: run",
		"metadata: {labels: {"+run.ClassLabel+": "+a.class+"}, name: run",
		1)
}

func (a *testArchive) want(p *place, ref run.Reference, want archiver.Outcome) {
	p.t.Helper()
	if got, err := a.archiver.Archive(p.ctx, ref, true); err != nil || got.Outcome != want {
		p.t.Fatalf("archive: %+v, %v; want %s", got, err, want)
	}
}

func (a *testArchive) onlyCommit(p *place) *manifest.Commit {
	p.t.Helper()
	commits := a.commits(p)
	if len(commits) != 1 {
		p.t.Fatalf("%d commits, want 1", len(commits))
	}
	return commits[0]
}

func (a *testArchive) content(p *place, part manifest.Part) string {
	p.t.Helper()
	content, err := manifest.Open(p.ctx, a.store, &part)
	if err != nil {
		p.t.Fatal(err)
	}
	data, err := io.ReadAll(content)
	if err = errors.Join(err, content.Close()); err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

// fsck checks that there are so many runs, that nothing is damaged, and that only abandoned parts
// are left over.
func (a *testArchive) fsck(p *place, commits int) {
	p.t.Helper()
	if got := a.check(p, fsck.Options{}).Commits; got != commits {
		p.t.Errorf("fsck: %d commits, want %d", got, commits)
	}
}

// check is fsck, for which everything but abandoned parts is an error.
func (a *testArchive) check(p *place, o fsck.Options) fsck.Totals {
	p.t.Helper()
	o.Store, o.Cluster, o.Now = a.store, "e2e", time.Now()
	o.Found = func(f fsck.Finding) {
		if f.Kind != fsck.Abandoned {
			p.t.Error(f)
		}
	}
	totals, err := fsck.Check(p.ctx, o)
	if err != nil {
		p.t.Error(err)
	}
	return totals
}
