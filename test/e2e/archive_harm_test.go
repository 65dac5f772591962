//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
)

// However soon runs leave the cluster, Tekton creates none of them again: a child leaves with its
// owner, or later.
func TestChildrenLeaveWithTheirOwner(t *testing.T) {
	t.Parallel()
	works := map[time.Duration]int{0: 15, 5 * time.Second: 15} // for how many seconds the Pipeline works
	if long {
		works[0], works[20*time.Second] = 180, 180
	}
	for keep, seconds := range works {
		t.Run(fmt.Sprintf("kept for %s", keep), func(t *testing.T) {
			t.Parallel()
			p, a := newLongPlace(t, bound+time.Duration(2*seconds)*time.Second),
				newArchivist(t, directory(t), archiver.Follow,
					func(o *archiver.Options) { o.Keep = stay.Policies{{Name: "keep", For: keep}} })
			made := p.everMade()
			p.create(a.mine(strings.Replace(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    results: [{name: stamp, value: $(tasks.first.results.stamp)}]
    tasks:
    - name: first
      taskSpec:
        results: [{name: stamp}]
        steps: [{name: stamp, image: IMAGE, script: "tr -d '\\n' < /proc/sys/kernel/random/uuid > $(results.stamp.path); echo made $(cat $(results.stamp.path))"}]
    - name: slow
      taskSpec: {steps: [{name: wait, image: IMAGE, script: "sleep SECONDS"}]}
    - name: last
      runAfter: [slow]
      params: [{name: stamp, value: $(tasks.first.results.stamp)}]
      taskSpec:
        params: [{name: stamp}]
        steps: [{name: say, image: IMAGE, script: "echo made $(params.stamp)"}]
`, "SECONDS", strconv.Itoa(seconds), 1)))
			pr := a.commit(p, "PipelineRun", "run")
			if pr.Run.Reason != "Succeeded" && pr.Run.Reason != "Completed" {
				t.Errorf("the PipelineRun ended with %s", pr.Run.Reason)
			}
			p.eventually("that all runs are gone", func() (bool, error) {
				list, err := cluster.Tekton.TektonV1().PipelineRuns(p.namespace).List(p.ctx, metav1.ListOptions{})
				return err == nil && len(list.Items)+len(p.taskRuns()) == 0, err
			})
			if diff := cmp.Diff(map[string]int{"run-first": 1, "run-slow": 1, "run-last": 1}, made()); diff != "" {
				t.Errorf("TaskRuns that ever were, by name (-want +got):\n%s", diff)
			}
			first, last := a.logsOf(p, a.commit(p, "TaskRun", "run-first")),
				a.logsOf(p, a.commit(p, "TaskRun", "run-last"))
			if len(first) != 1 || len(last) != 1 ||
				strings.TrimPrefix(first[0], "step-stamp") != strings.TrimPrefix(last[0],
					"step-say") {
				t.Errorf("the first and the last TaskRun print %q and %q", first, last)
			}
			a.fsck(p, 4)
		})
	}
}

// So do runs made by PipelineRuns in a PipelineRun: the topmost goes last and takes all with it.
func TestPipelinesInPipelinesLeaveTogether(t *testing.T) {
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow,
		func(o *archiver.Options) { o.Keep = stay.Policies{{Name: "keep"}} })
	p.fields("alpha", alphaTaskRun)
	made := p.everMade()
	p.create(a.mine(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    tasks:
    - name: outer
      pipelineSpec:
        tasks:
        - name: inner
          pipelineSpec: {tasks: [{name: quick, taskSpec: {steps: [{name: a, image: IMAGE, script: "echo quick"}]}}]}
        - {name: beside, taskSpec: {steps: [{name: a, image: IMAGE, script: "sleep 10"}]}}
    - {name: slow, taskSpec: {steps: [{name: a, image: IMAGE, script: "sleep 25"}]}}
`))
	pr := a.commit(p, "PipelineRun", "run")
	if pr.Run.Status != "True" {
		t.Errorf("the PipelineRun ended with %s", pr.Run.Reason)
	}
	p.eventually("that all runs are gone", func() (bool, error) {
		list, err := cluster.Tekton.TektonV1().PipelineRuns(p.namespace).List(p.ctx, metav1.ListOptions{})
		return err == nil && len(list.Items)+len(p.taskRuns()) == 0, err
	})
	counts := made()
	if len(counts) != 3 {
		t.Errorf("TaskRuns that ever were: %v, want 3", counts)
	}
	for name, n := range counts {
		if n != 1 {
			t.Errorf("TaskRun %s was made %d times", name, n)
		}
	}
	a.fsck(p, 6)
}

// everMade watches the place's TaskRuns and returns a function that counts how many ever existed of
// each name.
func (p *place) everMade() func() map[string]int {
	p.t.Helper()
	watch, err := cluster.Tekton.TektonV1().TaskRuns(p.namespace).Watch(p.ctx, metav1.ListOptions{})
	p.must(err)
	seen := map[string]map[types.UID]bool{}
	var reading sync.WaitGroup
	reading.Go(func() {
		for event := range watch.ResultChan() {
			if tr, ok := event.Object.(metav1.Object); ok {
				if seen[tr.GetName()] == nil {
					seen[tr.GetName()] = map[types.UID]bool{}
				}
				seen[tr.GetName()][tr.GetUID()] = true
			}
		}
	})
	return func() map[string]int {
		watch.Stop()
		reading.Wait()
		counts := map[string]int{}
		for name, uids := range seen {
			counts[name] = len(uids)
		}
		return counts
	}
}

// copiedMarks are the marks of an archived run, copied with its exported YAML.
const copiedMarks = `{indelible.dev/archived: "2026-01-02T03:04:05Z", results.tekton.dev/stored: "true",
  results.tekton.dev/result: PLACE/results/11111111-1111-1111-1111-111111111111,
  results.tekton.dev/record: PLACE/results/11111111-1111-1111-1111-111111111111/records/22222222-2222-2222-2222-222222222222,
  results.tekton.dev/log: PLACE/results/11111111-1111-1111-1111-111111111111/logs/33333333-3333-3333-3333-333333333333}`

// A run created from the YAML of an archived one is archived like any other, and marked only then,
// even if the webhook was unavailable at its creation: protect does not cover an archiver's own
// class.
func TestCopiesOfArchivedRuns(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} {
		t.Run(fmt.Sprintf("the webhook is away: %v", away), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			yaml := strings.ReplaceAll(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run, annotations: `+copiedMarks+`}
spec:
  pipelineSpec:
    tasks:
    - {name: work, taskSpec: {steps: [{name: work, image: IMAGE, script: "until [ -e /tekton/home/go ]; do sleep 0.2; done"}]}}
`, "PLACE", p.namespace)
			if away {
				yaml = newArchivist(t, directory(t), archiver.Follow).mine(yaml)
			}
			p.create(yaml)
			pod := p.running("run-work", "step-work")
			for resource, name := range map[string]string{"pipelineruns": "run", "taskruns": "run-work"} {
				p.eventually("no mark on "+name, func() (bool, error) {
					live := p.metadata(resource, name)
					return !slices.ContainsFunc(marks, func(mark string) bool { return live.Annotations[mark] != "" }),
						nil
				})
			}
			p.release(pod, "step-work")
			for resource, name := range map[string]string{"taskruns": "run-work", "pipelineruns": "run"} {
				p.eventually("the marks of its own on "+name, func() (bool, error) {
					live := p.metadata(resource, name)
					return live.Annotations["results.tekton.dev/stored"] == "true" &&
						strings.HasSuffix(live.Annotations["results.tekton.dev/record"],
							"/records/"+string(live.UID)) &&
						live.Annotations[archivedAt] > "2026-11" && !slices.Contains(live.Finalizers, finalizer), nil
				})
				if at := p.metadata(resource,
					name).Annotations["results.tekton.dev/result"]; strings.Contains(at, "11111111") {
					t.Errorf("%s is a part of the Result that it was copied from: %s", name, at)
				}
			}
		})
	}
}

var marks = []string{archivedAt, "results.tekton.dev/stored", "results.tekton.dev/result", "results.tekton.dev/record",
	"results.tekton.dev/log"}

func (p *place) metadata(resource, name string) *metav1.ObjectMeta {
	p.t.Helper()
	if resource == "pipelineruns" {
		pr, err := cluster.Tekton.TektonV1().PipelineRuns(p.namespace).Get(p.ctx, name, metav1.GetOptions{})
		p.must(err)
		return &pr.ObjectMeta
	}
	tr, err := cluster.TaskRun(p.ctx, p.namespace, name)
	p.must(err)
	return &tr.ObjectMeta
}

// A CustomRun without a controller never ends: its PipelineRun does not wait for it for ever.
func TestArchiveOfAPipelineRunWhoseCustomRunNobodyHandles(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a := newArchivist(t, directory(t), archiver.Follow, func(o *archiver.Options) { o.ChildPatience = time.Second })
	p.create(a.mine(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  timeouts: {pipeline: 5s}
  pipelineSpec:
    tasks:
    - {name: other, taskRef: {apiVersion: example.dev/v1, kind: Nobody}}
`))
	if c := a.commit(p, "PipelineRun", "run"); c.Run.Reason != "PipelineRunTimeout" {
		t.Errorf("reason %s", c.Run.Reason)
	}
	custom, err := cluster.Tekton.TektonV1beta1().CustomRuns(p.namespace).Get(p.ctx, "run-other", metav1.GetOptions{})
	p.must(err)
	if !slices.Contains(custom.Finalizers, finalizer) {
		t.Error("the CustomRun is not held any more, though it is not in the archive")
	}
	p.kubectl("delete", "pipelinerun", "run", "-n", p.namespace, "--timeout=1m")
	a.commit(p, "CustomRun", "run-other")
	a.fsck(p, 2)
}

// What was read of a log before the archiver stopped is archived, though pod and TaskRun were
// deleted meanwhile.
func TestArchiveOfALogThatWasHad(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	p.create(a.mine(taskRunOf("- {name: text}", "seq 1 11; sleep 3600")))
	pod := p.running("run", "step-write")
	a.spooled(p, " 11\n")
	a.stop()
	p.kubectl("delete", "taskrun", "run", "-n", p.namespace, "--wait=false")
	p.kubectl("delete", "pod", pod, "-n", p.namespace, "--force", "--grace-period=0")
	p.eventually("the end of the pod", func() (bool, error) {
		_, err := cluster.Kube.CoreV1().Pods(p.namespace).Get(p.ctx, pod, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	a.start(t, archiver.Follow)
	if diff := cmp.Diff([]string{"step-write 0 truncated: 1 2 3 4 5 6 7 8 9 10 11"},
		a.logsOf(p, a.commit(p, "TaskRun", "run"))); diff != "" {
		t.Error(diff)
	}
	p.gone("run")
}

// A kubelet that does not answer, while the Pod exists, delays a run only for a time. The fault is
// in the archiver's connection: its requests for logs get the API server's answer for an
// unreachable kubelet.
func TestArchiveWhenTheKubeletDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for mode, want := range map[archiver.LogMode]string{
		archiver.Collect: "step-write 0 missing: the kubelet did not answer",
		archiver.Follow:  "step-write 0 truncated: had",
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			p, cut, ahead := newPlace(t), false, atomic.Int64{}
			a := newArchivist(t, directory(t), mode, func(o *archiver.Options) {
				if cut {
					o.Config = rest.CopyConfig(o.Config)
					o.Config.Wrap(func(to http.RoundTripper) http.RoundTripper { return withoutLogs{to} })
				}
			})
			p.create(a.mine(taskRunOf("- {name: text}",
				"echo had; until [ -e /tekton/home/go ]; do sleep 0.2; done; echo not had")))
			pod := p.running("run", "step-write")
			if mode == archiver.Follow {
				a.spooled(p, "had\n")
			}
			a.stop()
			cut, a.now = true, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			a.start(t, mode)
			p.release(pod, "step-write")
			p.taskRun("run")
			p.eventually("a failure to read the log",
				func() (bool, error) { return a.metric(t, "indelible_archive_failures_total", "logs") > 0, nil })
			if n := len(a.commits(p)); n > 0 {
				t.Errorf("%d commits before it was waited for the kubelet", n)
			}
			ahead.Store(int64(11 * time.Minute))
			if diff := cmp.Diff([]string{want}, a.logsOf(p, a.commit(p, "TaskRun", "run"))); diff != "" {
				t.Error(diff)
			}
			p.archived("run")
		})
	}
}

// withoutLogs is a connection on which no log arrives.
type withoutLogs struct{ http.RoundTripper }

func (c withoutLogs) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/log") {
		return c.RoundTripper.RoundTrip(r)
	}
	const answer = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Get \"https://node:10250/containerLogs\": dial tcp: connect: no route to host","code":500}`
	return &http.Response{
		StatusCode: http.StatusInternalServerError, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(answer)), Request: r,
	}, nil
}

// spooled waits until a log in the spool ends with a text.
func (a *archivist) spooled(p *place, end string) {
	p.t.Helper()
	p.eventually("a log in the spool", func() (bool, error) {
		files, err := filepath.Glob(filepath.Join(a.spool, "*.log"))
		if err != nil || len(files) == 0 {
			return false, err
		}
		text, err := os.ReadFile(files[0])
		return strings.HasSuffix(string(text), end), err
	})
}

// events records events about runs.
type saidEvents struct {
	mu   sync.Mutex
	said []string
}

func (e *saidEvents) Event(_ runtime.Object, _, reason, _ string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said = append(e.said, reason)
}

// alphaTaskRun needs a feature that Tekton rejects unless enable-api-fields is alpha.
const alphaTaskRun = `
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run, finalizers: [indelible.dev/archive]}
spec:
  taskSpec:
    results: [{name: out}]
    steps: [{name: print, image: IMAGE, stdoutConfig: {path: $(results.out.path)}, command: [sh, -c], args: ["printf 'by stdout'"]}]
`

// Tekton's admission validates the whole spec at every write: if a run's feature was switched off,
// even removing its finalizer is refused. The archiver reports that, and an administrator's command
// works around it and restores everything afterwards. The test changes a flag of the whole cluster,
// so it runs alone.
func TestRunsThatTektonRefusesToLetGo(t *testing.T) {
	p, said := newPlace(t), &saidEvents{}
	a := newArchivist(t, directory(t), archiver.Follow, func(o *archiver.Options) { o.Events = said })
	a.stop()
	p.fields("alpha", alphaTaskRun)
	p.create(a.mine(alphaTaskRun))
	p.create(strings.Replace(a.mine(alphaTaskRun), "name: run", "name: other", 1))
	taskRunSucceeded(t, p.taskRun("run"))
	taskRunSucceeded(t, p.taskRun("other"))
	p.fields("beta", alphaTaskRun)

	a.start(t, archiver.Follow)
	p.kubectl("delete", "taskrun", "run", "-n", p.namespace, "--wait=false")
	for _, name := range []string{"run", "other"} {
		a.commit(p, "TaskRun", name)
	}
	p.eventually("both to wait because they are refused", func() (bool, error) {
		return a.metric(t, "indelible_archive_waiting_runs", "refused") == 2, nil
	})
	if diff := cmp.Diff([]string{"ArchiveCannotRelease", "ArchiveCannotRelease"}, said.said); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	n, err := archiver.ReleaseRefused(p.ctx, cluster.Config, p.namespace, time.Minute,
		func(line string) { t.Log(line) })
	if err != nil || n != 2 {
		t.Errorf("released %d, %v", n, err)
	}
	p.gone("run")
	if tr := p.archived("other"); tr.Annotations["results.tekton.dev/stored"] != "true" {
		t.Errorf("annotations %v", tr.Annotations)
	}
	ns, err := cluster.Kube.CoreV1().Namespaces().Get(p.ctx, p.namespace, metav1.GetOptions{})
	p.must(err)
	if _, there := ns.Labels["webhooks.knative.dev/exclude"]; there {
		t.Error("Tekton's admission still stays away from the namespace")
	}
	p.kubectl("delete", "taskrun", "other", "-n", p.namespace, "--timeout=30s")
}

// fields sets Tekton's flag enable-api-fields until the test ends, and waits until Tekton's
// admission applies it, which probe detects.
func (p *place) fields(flag, probe string) {
	p.t.Helper()
	set := func(ctx context.Context, flag string) {
		_, err := cluster.Kube.CoreV1().ConfigMaps("tekton-pipelines").Patch(ctx, "feature-flags", types.MergePatchType,
			[]byte(`{"data":{"enable-api-fields":"`+flag+`"}}`), metav1.PatchOptions{})
		p.must(err)
	}
	objects, err := dynamic.NewForConfig(cluster.Config)
	p.must(err)
	p.t.Cleanup(func() { set(context.Background(), "beta") })
	set(p.ctx, flag)
	p.eventually("Tekton's admission to go by "+flag, func() (bool, error) {
		object := &unstructured.Unstructured{}
		p.must(yaml.Unmarshal([]byte(strings.Replace(probe, "name: run", "name: probe", 1)), object))
		_, err := objects.Resource(schema.GroupVersionResource{Group: "tekton.dev", Version: "v1",
			Resource: "taskruns"}).Namespace(p.namespace).
			Create(p.ctx, object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return (err == nil) == (flag == "alpha"), nil
	})
}
