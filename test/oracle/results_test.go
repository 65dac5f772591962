package oracle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/admission/guard"
	"github.com/indelible-ci/indelible/pkg/result"
)

// What Tekton would store of a Task's result files is what is stored with Indelible: the same
// results with the same types and values, Task results and step results. Two differences are
// decisions (docs/decisions/0003):
//
//   - A result that has not its declared type is left out at once, where Tekton's controller
//     removes it a moment later and fails the TaskRun. A step result that feeds such a Task result
//     is left out with it. The publisher then fails.
//   - A file that is not valid UTF-8 is refused, where Tekton stores another text. Nothing is
//     published then.
//
// A third is invariant 3 (docs/design.md): a step result that is not declared a string, and whose
// file holds a JSON string or null, is stored by Tekton as what that decodes to. So it is here, but
// the publisher fails, because what is stored is not the file.
//
// What Tekton's controller makes of it afterwards, with the pod's end, takes nothing away and adds
// nothing.
func TestStoredIsWhatTektonWouldStore(t *testing.T) {
	cases := 2000
	if testing.Short() {
		cases = 300
	}
	w := newWorld(t)
	for seed := range cases {
		w.compare(t, newTask(random(uint64(seed))))
	}
	t.Logf("%d cases: %+v", cases, w.counts)
	if c := w.counts; c.published < cases/4 || c.leftOut < cases/20 || c.notText < cases/100 {
		t.Errorf("the cases are too much alike: %+v", c)
	}
}

func FuzzStoredIsWhatTektonWouldStore(f *testing.F) {
	for seed := range 20 {
		f.Add(random(uint64(seed)).data[:64])
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, data []byte) { w.compare(t, newTask(&chooser{data})) })
}

// world is where Tasks are compared, and how many came out how.
type world struct {
	*indelible
	folders folders
	counts  struct{ published, leftOut, notText, tooLong, nothing int }
}

func newWorld(t testing.TB) *world {
	return &world{indelible: newIndelible(t), folders: folders{scratch(t)}}
}

// scratch returns a folder in memory, if there is one: Tekton's entrypoint syncs each of its files
// to disk.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "oracle")
	if err != nil {
		return filepath.Join(t.TempDir(), "pod")
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "pod")
}

func (w *world) compare(t *testing.T, task task) {
	t.Helper()
	if !fits(task) {
		w.counts.tooLong++
		return
	}
	w.folders.write(t, task)
	before := running(task)
	expected, complete := split(task, tektonStatus(t, task, w.folders, *before.DeepCopy(), true))
	code, stored, said := w.publish(t, task, w.folders, before)
	got := storedResults(t, stored)
	text, _ := json.Marshal(task.spec)
	describe := func() string {
		return fmt.Sprintf("\nTask: %s\nfiles: %q\nsteps' files: %q\npublisher: %d %s", text, task.files,
			task.steps, code,
			said)
	}
	switch {
	case !task.isText():
		w.counts.notText++
		if code != result.ExitNotPublished || len(got) != 0 {
			t.Fatalf("a file that is not text was published: %v%s", got, describe())
		}
		return
	case len(expected) == 0:
		w.counts.nothing++
	case complete:
		w.counts.published++
	default:
		w.counts.leftOut++
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Fatalf("stored differs from what Tekton would store (-Tekton +Indelible):\n%s%s", diff, describe())
	}
	if complete != (code == 0) {
		t.Fatalf("complete: %v, but the publisher exits with %d%s", complete, code, describe())
	}
	if diff := cmp.Diff(got, w.afterTheEnd(t, task, stored)); diff != "" {
		t.Fatalf("Tekton's next write changes what is stored (-before +after):\n%s%s", diff, describe())
	}
}

// running is the TaskRun while its pod runs.
func running(task task) v1.TaskRun {
	tr := v1.TaskRun{
		TypeMeta:   metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "TaskRun"},
		ObjectMeta: metav1.ObjectMeta{Name: "run", Namespace: "team", UID: "run-uid"},
		Spec:       v1.TaskRunSpec{TaskRef: &v1.TaskRef{Name: "task"}},
	}
	tr.Status.PodName, tr.Status.TaskSpec = "run-pod", &task.spec
	for i := range task.spec.Steps {
		tr.Status.Steps = append(tr.Status.Steps,
			v1.StepState{Name: task.stepName(i), Container: "step-" + task.stepName(i)})
	}
	return tr
}

// flat are results by "name" or "step/name", each as JSON.
type flat map[string]string

func (f flat) add(key string, r any) {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	f[key] = string(text)
}

// split takes from Tekton's status what its controller would remove for its type
// (mismatchedTypesResults in Tekton's pkg/reconciler/taskrun), with the step results it came from,
// and says whether nothing had to be.
func split(task task, status v1.TaskRunStatus) (kept flat, complete bool) {
	types, wrong := map[string]v1.ResultsType{}, map[string]bool{}
	for _, r := range task.spec.Results {
		types[r.Name] = r.Type
	}
	kept, complete = flat{}, true
	for _, r := range status.Results {
		if r.Type != types[r.Name] {
			wrong[r.Name], complete = true, false
			continue
		}
		kept.add(r.Name, r)
	}
	fed := map[string]string{} // "step/name" to the Task result that takes its value from there
	for _, r := range task.spec.Results {
		if r.Value != nil {
			step, name, err := v1.ExtractStepResultName(r.Value.StringVal)
			if err == nil {
				fed[step+"/"+name] = r.Name
			}
		}
	}
	for i, s := range status.Steps {
		for _, r := range s.Results {
			if key := s.Name + "/" + r.Name; !wrong[fed[key]] {
				kept.add(key, r)
				complete = complete && (r.Type != v1.ResultsTypeString || r.Value.StringVal == task.steps[i][r.Name])
			}
		}
	}
	return kept, complete
}

func storedResults(t testing.TB, object []byte) flat {
	t.Helper()
	var tr v1.TaskRun
	must(t, json.Unmarshal(object, &tr))
	all := flat{}
	for _, r := range tr.Status.Results {
		all.add(r.Name, r)
	}
	for _, s := range tr.Status.Steps {
		for _, r := range s.Results {
			all.add(s.Name+"/"+r.Name, r)
		}
	}
	return all
}

// afterTheEnd is what is stored when Tekton's controller has written the status it makes of the
// ended pod, whose termination messages have no results any more.
func (w *world) afterTheEnd(t *testing.T, task task, stored []byte) flat {
	t.Helper()
	var tr v1.TaskRun
	must(t, json.Unmarshal(stored, &tr))
	tr.Status = tektonStatus(t, task, w.folders, *tr.DeepCopy(), false)
	next, err := json.Marshal(tr)
	must(t, err)
	next, _ = admit(t, guard.NewGuard(options()), controller, stored, next)
	if next == nil {
		t.Fatal("the guard denies the controller's write")
	}
	next, _ = admit(t, guard.NewCarryOver(options()), controller, stored, next)
	return storedResults(t, next)
}
