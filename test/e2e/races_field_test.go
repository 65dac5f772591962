//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/typed/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/result"
	"github.com/indelible-ci/indelible/test/harness"
)

type clientOf = tektonv1.TaskRunInterface

// raceField is shared by all races: the namespace, Tekton's controller, as which the test writes,
// and the totals.
type raceField struct {
	p          *place
	controller *harness.Cluster

	mu sync.Mutex // owns everything below, and what the writers of one race share
	totals
	final []*race
}

// totals counts what happened, to show that the writers did meet.
type totals struct {
	published, refused, tooLate, conflicts, overwrites, putBack, retries int
}

func newRaceField(p *place) *raceField {
	p.t.Helper()
	controller, err := cluster.As("system:serviceaccount:tekton-pipelines:tekton-pipelines-controller",
		"system:serviceaccounts", "system:serviceaccounts:tekton-pipelines", "system:authenticated")
	if err != nil {
		p.t.Fatal(err)
	}
	return &raceField{p: p, controller: controller}
}

func (f *raceField) count(n *int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*n++
}

// overwrote counts a write of the controller; more is how many results are stored that it did not
// have.
func (f *raceField) overwrote(more int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.overwrites++
	if more > 0 {
		f.putBack++
	}
}

func (f *raceField) tally() string {
	return fmt.Sprintf(
		"%d writes of pods acknowledged, %d refused as results were published before, %d as too late, %d "+
			"writes of the controller of which %d lacked results, %d conflicts, %d retries",
		f.published, f.refused, f.tooLate, f.overwrites, f.putBack, f.conflicts, f.retries)
}

// wantContact fails a run whose writers never met: it would show nothing.
func (f *raceField) wantContact(t *testing.T) {
	t.Helper()
	for what, n := range map[string]int{"conflicts": f.conflicts, "writes with lost results": f.putBack,
		"retries":        f.retries,
		"refused writes": f.refused, "late writes": f.tooLate} {
		if n == 0 {
			t.Errorf("the run had no %s", what)
		}
	}
}

// keep records a finished race, to be checked again when all have finished.
func (r *race) keep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.final = append(r.final, r)
}

func (f *raceField) finalErrors() []error {
	var broken []error
	for _, r := range f.final {
		if err := r.check(); err != nil {
			broken = append(broken, fmt.Errorf("TaskRun %s, when all had ended: %w", r.name, err))
		}
	}
	return broken
}

// race is one TaskRun and those who write it. Whatever its writers share is guarded by mu of the
// field.
type race struct {
	*raceField
	name  string
	rng   *rand.Rand
	round int

	attempt      int
	began        int // the round in which the attempt began
	podName      string
	pod          *harness.Cluster    // as this attempt's pod sees it
	acknowledged map[string]string   // by place, of this attempt
	cached       *pipelinev1.TaskRun // what an informer that lags behind has
	owner        metav1.OwnerReference
	taskSpec     *pipelinev1.TaskSpec
	story        []string
}

// placed is one result; its place is one of these words and its name.
type placed struct{ place, value string }

const (
	taskResult = "result "
	stepResult = "step result "
)

// flatten lists all results of a TaskRun, in their order.
func flatten(tr *pipelinev1.TaskRun) []placed {
	var all []placed
	for _, r := range tr.Status.Results {
		all = append(all, placed{taskResult + r.Name, r.Value.StringVal})
	}
	for _, s := range tr.Status.Steps {
		for _, r := range s.Results {
			all = append(all, placed{stepResult + r.Name, r.Value.StringVal})
		}
	}
	return all
}

func placesOf(list []placed) []string {
	places := make([]string, len(list))
	for i, p := range list {
		places[i] = p.place
	}
	return places
}

// tell adds a line to the output of a failure.
func (r *race) tell(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.story = append(r.story, fmt.Sprintf("round %d: ", r.round)+fmt.Sprintf(format, args...))
}

func (r *race) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.story[max(0, len(r.story)-25):], "\n")
}

// create makes the TaskRun, with a Task that declares every result that any round of an attempt may
// publish, and starts its first attempt.
func (r *race) create() error {
	var declared []string
	for round := range attemptRounds + 2 {
		declared = append(declared, fmt.Sprintf("{name: r%[1]da}, {name: r%[1]db}", round))
	}
	list := strings.Join(declared, ", ")
	if err := cluster.Create(r.p.ctx, r.p.namespace, fmt.Sprintf(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: %s}
spec:
  managedBy: indelible.dev/e2e
  taskSpec:
    results: [%s]
    steps: [{name: build, image: none, script: "true", results: [%s]}]
`, r.name, list, list)); err != nil {
		return err
	}
	tr, err := cluster.TaskRun(r.p.ctx, r.p.namespace, r.name)
	if err != nil {
		return err
	}
	r.owner = *metav1.NewControllerRef(tr, pipelinev1.SchemeGroupVersion.WithKind("TaskRun"))
	r.taskSpec = tr.Spec.TaskSpec
	return r.startAttempt(func(status *pipelinev1.TaskRunStatus) {
		status.TaskSpec = r.taskSpec
		r.progress(status, "started")
	})
}

// nextAttempt follows a retry that is stored.
func (r *race) nextAttempt() error {
	r.mu.Lock()
	r.retries++
	r.attempt++
	r.began = r.round
	r.cached = nil
	r.mu.Unlock()
	return r.startAttempt(func(*pipelinev1.TaskRunStatus) {})
}

// startAttempt makes the attempt's pod and stores its name, as the controller does.
func (r *race) startAttempt(change func(*pipelinev1.TaskRunStatus)) error {
	r.podName = fmt.Sprintf("%s-pod-retry%d", r.name, r.attempt)
	if err := r.makePod(r.podName); err != nil {
		return err
	}
	token, err := cluster.BoundToken(r.p.ctx, r.p.namespace, "default", r.podName)
	if err != nil {
		return err
	}
	as, err := cluster.WithToken(token)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.pod = as
	r.acknowledged = map[string]string{}
	r.mu.Unlock()
	start := &overwrite{r: r, fresh: true, change: func(status *pipelinev1.TaskRunStatus) {
		status.PodName = r.podName
		now := metav1.Now()
		status.StartTime = &now
		change(status)
	}}
	for {
		if done, err := start.next(); done || err != nil {
			return err
		}
	}
}

// makePod makes a pod that is never scheduled: its token is all that matters. It is made as
// Tekton's controller, which alone makes pods that a TaskRun owns.
func (r *race) makePod(name string) error {
	_, err := r.controller.Kube.CoreV1().Pods(r.p.namespace).Create(r.p.ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{r.owner}},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "indelible.dev/e2e"}},
			Containers: []corev1.Container{
				{Name: "step-build", Image: "none", Command: []string{result.PublisherPath}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("making pod %s: %w", name, err)
	}
	return nil
}

// attemptOf tells the attempt a version of the TaskRun is of. The caller holds mu.
func (r *race) attemptOf(tr *pipelinev1.TaskRun) int { return len(tr.Status.RetriesStatus) }
