package run

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const taskRun = `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"build","namespace":"team","uid":"u1",
  "creationTimestamp":"2026-11-20T10:42:11Z","managedFields":[{"manager":"x"}],"finalizers":["a"],"future":{"b":1}},
  "spec":{"future":[1.5,9007199254740993]},"status":{"podName":"build-pod-retry1","completionTime":"2026-11-20T10:43:00Z",
  "conditions":[{"type":"Succeeded","status":"False","reason":"Failed"}],"steps":[{"name":"a","container":"step-a","future":true}],
  "retriesStatus":[{"podName":"build-pod","steps":[{"name":"a","container":"step-a"}]},{"podName":""}]}}`

// The record has all fields of the object, including unknown ones, except the bookkeeping.
func TestRecordDropsManagedFieldsOnly(t *testing.T) {
	r, err := Parse([]byte(taskRun))
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]json.RawMessage
	for text, to := range map[string]*map[string]json.RawMessage{taskRun: &want, string(r.Record): &got} {
		if err := json.Unmarshal([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	want["metadata"] = json.RawMessage(
		`{"creationTimestamp":"2026-11-20T10:42:11Z","finalizers":["a"],"future":{"b":1},"name":"build","namespace":"team","uid":"u1"}`)
	if diff := cmp.Diff(want, got, cmp.Transformer("text", func(m json.RawMessage) string {
		var v any
		_ = json.Unmarshal(m, &v)
		b, _ := json.Marshal(v)
		return string(b)
	})); diff != "" {
		t.Error(diff)
	}
}

func TestParse(t *testing.T) {
	r, err := Parse([]byte(taskRun))
	if err != nil {
		t.Fatal(err)
	}
	var pods []string
	for _, a := range r.Attempts() {
		pods = append(pods, a.PodName+" "+a.Steps[0].Container)
	}
	if diff := cmp.Diff([]string{"build-pod step-a", "build-pod-retry1 step-a"}, pods); diff != "" {
		t.Errorf("attempts, the first one first: %s", diff)
	}
	if status, reason := r.Outcome(); !r.Finished() || status != "False" || reason != "Failed" || r.Completed() == nil {
		t.Errorf("finished %v, %s, %s, completed %v", r.Finished(), status, reason, r.Completed())
	}
	for name, text := range map[string]string{
		"no JSON": `{`, "no metadata": `{"kind":"TaskRun"}`,
		"no uid": `{"kind":"TaskRun","metadata":{"creationTimestamp":"2026-11-20T10:42:11Z"}}`,
	} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s is allowed", name)
		}
	}
}

// Tekton Results' rules: annotation, else event, else the owning PipelineRun, else the run itself.
func TestResultOf(t *testing.T) {
	pipelineRun := []metav1.OwnerReference{{Kind: "TaskRun", UID: "other"}, {Kind: "PipelineRun", UID: "pr"}}
	event := map[string]string{"triggers.tekton.dev/triggers-eventid": "push-17"}
	for name, test := range map[string]struct {
		meta metav1.ObjectMeta
		want string
	}{
		"itself": {metav1.ObjectMeta{}, "own"},
		"the PipelineRun that owns it, among other owners": {metav1.ObjectMeta{OwnerReferences: pipelineRun},
			"pr"},
		"the event before the PipelineRun": {metav1.ObjectMeta{OwnerReferences: pipelineRun, Labels: event},
			"push-17"},
		"the annotation before all": {metav1.ObjectMeta{OwnerReferences: pipelineRun, Labels: event,
			Annotations: map[string]string{ResultAnnotation: "team/results/mine"}},
			"mine"},
		"the event where the annotation is of another namespace": {metav1.ObjectMeta{Labels: event,
			Annotations: map[string]string{ResultAnnotation: "other/results/mine"}},
			"push-17"},
		"the event where the annotation is no name": {metav1.ObjectMeta{Labels: event,
			Annotations: map[string]string{ResultAnnotation: "team/results/../x"}},
			"push-17"},
		"itself where the event's identifier cannot be a Result's name": {
			metav1.ObjectMeta{Labels: map[string]string{"triggers.tekton.dev/triggers-eventid": "A/B"}},
			"own"},
	} {
		t.Run(name, func(t *testing.T) {
			test.meta.Namespace, test.meta.UID = "team", "own"
			if got := ResultOf(&test.meta); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// Whoever may write a status may write any times. None is ahead for longer than it is away.
func TestSince(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	for name, tt := range map[string]struct {
		status string
		want   time.Duration
	}{
		"by its completion": {`"completionTime":"` + at(-time.Minute) + `","conditions":[{"type":"Succeeded",
			"status":"True","lastTransitionTime":"` + at(-time.Hour) + `"}]`, time.Minute},
		"by its condition": {`"conditions":[{"type":"Succeeded","status":"True","lastTransitionTime":"` +
			at(-time.Hour) + `"}]`, time.Hour},
		"by its creation":                     {"", 2 * time.Hour},
		"by a completion that is yet to come": {`"completionTime":"` + at(1000*time.Hour) + `"`, 1000 * time.Hour},
		"by a condition that is yet to come": {`"conditions":[{"type":"Succeeded","status":"True","lastTransitionTime":"` +
			at(1000*time.Hour) + `"}]`, 1000 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Parse([]byte(`{"kind":"TaskRun","metadata":{"uid":"u","creationTimestamp":"` + at(-2*time.Hour) +
				`"},"status":{` + tt.status + `}}`))
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Since(now); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
