//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"

	"github.com/indelible-ci/indelible/test/harness"
)

// writer is one of the concurrent writers of a TaskRun. Each call of next makes one request to the
// API server, so that others can come between any two; done says that it was the last.
type writer interface {
	next() (done bool, err error)
}

// publish is the pod's write: what its files hold by now, as raw text in one merge patch.
type publish struct {
	r       *race
	pod     *harness.Cluster
	attempt int
	who     string
	add     []placed
	took    bool
}

// newPublish draws the pod's new results. Within a round, each container writes its own names.
func (r *race) newPublish(container string) *publish {
	w := &publish{r: r, pod: r.pod, attempt: r.attempt, who: container}
	kind, size := r.rng.IntN(4), 1+r.rng.IntN(200)
	if r.rng.IntN(20) == 0 {
		size *= 20
	}
	name := fmt.Sprintf("r%d%s", r.round-r.began, container)
	value := fmt.Sprintf("container %s, attempt %d, round %d: %s", container, r.attempt, r.round, sample(size))
	if kind != 0 {
		w.add = append(w.add, placed{taskResult + name, value})
	}
	if kind < 2 {
		w.add = append(w.add, placed{stepResult + name, value})
	}
	return w
}

func (w *publish) next() (bool, error) {
	tr := &pipelinev1.TaskRun{}
	err := w.pod.PutSparse(w.r.p.namespace, w.r.name, w.r.owner.UID, w.status()).Do(w.r.p.ctx).Into(tr)
	code, message := codeOf(err)
	switch {
	case err == nil:
		w.took = true
		w.r.tell("container %s publishes %v: stored in version %s", w.who, placesOf(w.add), tr.ResourceVersion)
		return true, w.acknowledged(tr)
	case code == http.StatusConflict && !strings.Contains(message, "admission webhook"), code >= 500,
		code == http.StatusTooManyRequests:
		w.r.tell("container %s publishes: %d, and tries again", w.who, code)
		w.r.count(&w.r.conflicts)
		return false, nil
	case code == http.StatusUnprocessableEntity && strings.Contains(message, "may not add any"):
		// Another container of the pod has published, or this one before.
		w.r.tell("container %s publishes %v: refused, %.200s", w.who, placesOf(w.add), message)
		w.r.count(&w.r.refused)
		return true, nil
	case code == http.StatusForbidden || code == http.StatusConflict:
		// The TaskRun is at its next attempt, or has ended.
		w.r.tell("container %s publishes %v: too late, %.200s", w.who, placesOf(w.add), message)
		w.r.count(&w.r.tooLate)
		return true, nil
	}
	return true, fmt.Errorf("container %s publishes %v: %w", w.who, placesOf(w.add), err)
}

// status has what is new, and nothing of what other containers of the pod have published.
func (w *publish) status() string {
	type raw struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	type step struct {
		Name    string `json:"name"`
		Results []raw  `json:"results"`
	}
	var status struct {
		Results []raw  `json:"results,omitempty"`
		Steps   []step `json:"steps,omitempty"`
	}
	build := step{Name: "build"}
	for _, p := range w.add {
		if name, ok := strings.CutPrefix(p.place, stepResult); ok {
			build.Results = append(build.Results, raw{name, p.value})
		} else {
			status.Results = append(status.Results, raw{strings.TrimPrefix(p.place, taskResult), p.value})
		}
	}
	if len(build.Results) > 0 {
		status.Steps = []step{build}
	}
	body, err := json.Marshal(status)
	if err != nil {
		panic(err) // strings are always encoded
	}
	return string(body)
}

// acknowledged remembers what the API server has taken, and checks that its answer has it. The
// answer to the pod of a former attempt may be seen only when the next one has begun.
func (w *publish) acknowledged(tr *pipelinev1.TaskRun) error {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.r.published++
	stored := map[string]string{}
	for _, s := range flatten(tr) {
		stored[s.place] = s.value
	}
	for _, a := range w.add {
		if stored[a.place] != a.value {
			return fmt.Errorf("%s was acknowledged, but is not in the answer", a.place)
		}
		if w.attempt == w.r.attempt {
			w.r.acknowledged[a.place] = a.value
		}
	}
	return nil
}

// overwrite is a write of the controller as in updateStatus of Tekton's generated reconciler: first
// over its own copy, then, after a conflict, over what is stored.
type overwrite struct {
	r        *race
	change   func(*pipelinev1.TaskRunStatus)
	fresh    bool // works on a copy read now, not on one of a round before
	desired  *pipelinev1.TaskRunStatus
	existing *pipelinev1.TaskRun
	after    func() error
}

func (r *race) newOverwrite() *overwrite {
	return &overwrite{r: r, fresh: r.rng.IntN(3) > 0, change: func(status *pipelinev1.TaskRunStatus) {
		// The controller makes the steps anew from the pod's containers, and knows of no step
		// results.
		running := pipelinev1.StepState{Name: "build", Container: "step-build"}
		running.Running = &corev1.ContainerStateRunning{StartedAt: metav1.Now()}
		status.Steps = []pipelinev1.StepState{running}
		// Both it has also when the copy is too old to have them: the pod by its label, the Task
		// from the spec.
		status.PodName, status.TaskSpec = r.podName, r.taskSpec
		r.progress(status, fmt.Sprintf("round %d", r.round))
	}}
}

// newRetry does what Tekton's retryTaskRun does: it moves the status into retriesStatus and starts
// the next attempt.
func (r *race) newRetry() *overwrite {
	return &overwrite{r: r, fresh: r.rng.IntN(2) > 0, after: r.nextAttempt,
		change: func(status *pipelinev1.TaskRunStatus) {
			before := status.DeepCopy()
			before.RetriesStatus, before.TaskSpec = nil, nil // a TaskSpec each would only make the object larger
			status.RetriesStatus = append(status.RetriesStatus, *before)
			status.TaskSpec = r.taskSpec
			status.StartTime, status.CompletionTime, status.PodName, status.Results = nil, nil, "", nil
			r.progress(status, "to be retried")
		}}
}

func (r *race) newFinish() *overwrite {
	return &overwrite{r: r, fresh: true, change: func(status *pipelinev1.TaskRunStatus) {
		status.CompletionTime = &metav1.Time{Time: time.Now()}
		status.Conditions[0].Status, status.Conditions[0].Reason = corev1.ConditionTrue, "Succeeded"
	}}
}

func (r *race) progress(status *pipelinev1.TaskRunStatus, message string) {
	status.Conditions = []apis.Condition{{
		Type: apis.ConditionSucceeded, Status: corev1.ConditionUnknown, Reason: "Running", Message: message,
		LastTransitionTime: apis.VolatileTime{Inner: metav1.Now()},
	}}
}

func (w *overwrite) next() (bool, error) {
	client := w.r.controller.Tekton.TektonV1().TaskRuns(w.r.p.namespace)
	if w.existing == nil {
		if err := w.read(client); err != nil {
			return true, err
		}
		if w.desired == nil {
			w.desired = w.existing.Status.DeepCopy()
			w.change(w.desired)
		}
		return false, nil
	}
	w.existing.Status = *w.desired
	after, err := client.UpdateStatus(w.r.p.ctx, w.existing, metav1.UpdateOptions{})
	switch {
	case apierrors.IsConflict(err):
		w.r.tell("controller puts %d results over version %s: conflict", len(w.desired.Results),
			w.existing.ResourceVersion)
		w.r.count(&w.r.conflicts)
		w.existing = nil
		return false, nil
	case err != nil:
		return true, fmt.Errorf("the controller's write was refused: %w", err)
	}
	w.r.tell("controller puts %d results over version %s: stored in version %s", len(w.desired.Results),
		w.existing.ResourceVersion, after.ResourceVersion)
	w.r.overwrote(len(after.Status.Results) - len(w.desired.Results))
	if w.after != nil {
		return true, w.after()
	}
	return true, nil
}

// read gets the TaskRun, or an older copy, as from an informer that lags behind.
func (w *overwrite) read(client clientOf) error {
	w.r.mu.Lock()
	old := w.r.cached
	w.r.mu.Unlock()
	if w.desired == nil && !w.fresh && old != nil {
		w.existing = old.DeepCopy()
		return nil
	}
	var err error
	if w.existing, err = client.Get(w.r.p.ctx, w.r.name, metav1.GetOptions{}); err != nil {
		return fmt.Errorf("the controller reads: %w", err)
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	if w.r.attemptOf(w.existing) == w.r.attempt {
		w.r.cached = w.existing.DeepCopy()
	}
	return nil
}

// meddler changes something else of the TaskRun, as Chains does with its annotations, and so makes
// others' copies old.
type meddler struct{ r *race }

func (r *race) newMeddler() meddler { return meddler{r} }

func (w meddler) next() (bool, error) {
	body := fmt.Sprintf(`{"metadata":{"annotations":{"e2e/round":"%d"}}}`, w.r.round)
	tr, err := cluster.Tekton.TektonV1().TaskRuns(w.r.p.namespace).Patch(w.r.p.ctx, w.r.name, types.MergePatchType,
		[]byte(body), metav1.PatchOptions{})
	if apierrors.IsConflict(err) {
		return false, nil
	}
	if err == nil {
		w.r.tell("somebody annotates: version %s", tr.ResourceVersion)
	}
	return true, err
}

// codeOf is the code and message of an API server's answer; 0 if there was none.
func codeOf(err error) (int, string) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return 0, ""
	}
	return int(status.Status().Code), status.Status().Message
}
