package oversize

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/tools/record"
)

// object is a run of a kind; more are fields of it.
func object(t *testing.T, kind, name, more string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(more), &u.Object); err != nil {
		t.Fatal(err)
	}
	u.SetAPIVersion("tekton.dev/v1")
	u.SetKind(kind)
	u.SetNamespace("team")
	u.SetName(name)
	u.SetUID("run-uid")
	return u
}

// child is a TaskRun of the PipelineRun run with a result text of n bytes.
func child(t *testing.T, task string, n int) *unstructured.Unstructured {
	t.Helper()
	u := object(t, "TaskRun", "run-"+task,
		`{"status":{"results":[{"name":"text","value":"`+strings.Repeat("v", n)+`"}]}}`)
	u.SetLabels(map[string]string{"tekton.dev/pipelineRun": "run", "tekton.dev/pipelineTask": task})
	return u
}

var (
	listKinds = map[schema.GroupVersionResource]string{resources["TaskRun"]: "TaskRunList",
		resources["PipelineRun"]: "PipelineRunList"}
	getOptions metav1.GetOptions
)

const ref = "$(tasks.scan.results.text)"

func when(task string) string { return `{"name":"` + task + `","when":[{"input":"` + ref + `"}]}` }

func TestEnd(t *testing.T) {
	pipelineRun := func(spec, pipelineSpec string) string {
		return `{"spec":{` + spec +
			`},"status":{"conditions":[{"type":"Succeeded","status":"Unknown"}],"pipelineSpec":{` +
			pipelineSpec + `}}}`
	}
	fourWhens := `"tasks":[{"name":"scan"},` + when("a") + `,` + when("b") + `,` + when("c") + `],"finally":[` +
		when("d") + `]`
	tests := map[string]struct {
		kind, run string
		bytes     int      // of the result text of the tasks scan and test
		want      []string // in the words; nil: it is left alone
	}{
		"end a PipelineRun whose when expressions have too many copies": {
			"PipelineRun", pipelineRun("", fourWhens), 1_000_000,
			[]string{`its status would be about 400`,
				`result "text" of task "scan", 1000000 bytes (976.56 KiB), used 4 times`,
				`accepts at most 3145728 bytes (3 MiB)`},
		},
		"end one whose results are too large together": {
			"PipelineRun", pipelineRun("", `"tasks":[{"name":"scan"},{"name":"test"}],"results":[{"value":"`+ref+
				`"},{"value":"$(tasks.test.results.text)"}]`), 1_600_000,
			[]string{
				`its status would be about 320`, `result "text" of task "test", 1600000 bytes (1.53 MiB), used 1 times`,
			},
		},
		"end one that cannot create a TaskRun": {
			"PipelineRun",
			pipelineRun("", `"tasks":[{"name":"scan"},{"name":"test"},{"name":"use","params":[{"value":"`+ref+
				`"},{"value":"$(tasks.test.results.text[*])"}]}]`), 1_600_000,
			[]string{`the run of task "use" would be about 320`},
		},
		"end a TaskRun with a large parameter whose Task is not known yet": {
			"TaskRun", `{"spec":{"taskRef":{"name":"use"},"params":[{"name":"text","value":"` +
				strings.Repeat("v", 1_000_000) +
				`"}]}}`, 0,
			[]string{
				`is over the 3145728 bytes (3 MiB) that the API server accepts; it has parameter "text", 1000000 bytes (976.56 KiB)`,
			},
		},
		"leave alone a PipelineRun that is not that large, whatever an event says": {"PipelineRun",
			pipelineRun("", fourWhens), 500_000, nil},
		"leave alone a small TaskRun": {"TaskRun", `{"spec":{"params":[{"name":"text","value":"v"}]}}`, 0, nil},
		"leave alone one that was told to end": {"PipelineRun", pipelineRun(`"status":"StoppedRunFinally"`, fourWhens),
			1_000_000, nil},
		"leave alone one that has ended": {"PipelineRun",
			strings.Replace(pipelineRun("", fourWhens), "Unknown", "False", 1),
			1_000_000, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			run := object(t, tc.kind, "run", tc.run)
			client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds, run,
				child(t, "scan", tc.bytes), child(t,
					"test", tc.bytes))
			events := record.NewFakeRecorder(10)
			o := Options{Runs: client, Events: events, Log: logr.Discard()}
			if err := o.end(context.Background(), subject{tc.kind, "team", "run"}); err != nil {
				t.Fatal(err)
			}
			after, err := client.Resource(resources[tc.kind]).Namespace("team").Get(context.Background(), "run",
				getOptions)
			if err != nil {
				t.Fatal(err)
			}
			status, _, _ := unstructured.NestedString(after.Object, "spec", "status")
			said, _, _ := unstructured.NestedString(after.Object, "spec", "statusMessage")
			said += after.GetAnnotations()["indelible.dev/too-large"]
			if tc.want == nil {
				if said != "" || len(events.Events) > 0 || strings.Contains(status, "Cancelled") {
					t.Errorf("cancelled: %q", said)
				}
				return
			}
			if wanted := map[string]string{"TaskRun": "TaskRunCancelled",
				"PipelineRun": "Cancelled"}[tc.kind]; status != wanted {
				t.Errorf("spec.status is %q, want %q", status, wanted)
			}
			event := <-events.Events
			for _, want := range tc.want {
				if !strings.Contains(said, want) || !strings.Contains(event, want) {
					t.Errorf("said %q, event %q; want %q", said, event, want)
				}
			}
			if strings.Contains(said, "vvvv") {
				t.Error("a value is shown")
			}
		})
	}
}

// Tekton cannot cancel what the PipelineRun's status does not name.
func TestChildrenAreCancelled(t *testing.T) {
	run := object(t, "PipelineRun", "run", `{"status":{"pipelineSpec":{"tasks":[{"name":"scan"},`+
		strings.Repeat(when("a")+",", 3)+when("a")+`]}}}`)
	done := child(t, "scan", 1_000_000)
	_ = unstructured.SetNestedSlice(done.Object, []any{map[string]any{"type": "Succeeded", "status": "True"}}, "status",
		"conditions")
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds, run, done,
		child(t, "a", 0))
	o := Options{Runs: client, Events: record.NewFakeRecorder(10), Log: logr.Discard()}
	if err := o.end(context.Background(), subject{"PipelineRun", "team", "run"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"run-a": "TaskRunCancelled", "run-scan": ""} {
		tr, err := client.Resource(resources["TaskRun"]).Namespace("team").Get(context.Background(), name, getOptions)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := unstructured.NestedString(tr.Object, "spec", "status"); got != want {
			t.Errorf("%s: spec.status is %q, want %q", name, got, want)
		}
	}
}

func TestSubjects(t *testing.T) {
	event := func(change func(*corev1.Event)) *corev1.Event {
		e := &corev1.Event{
			InvolvedObject: corev1.ObjectReference{APIVersion: "tekton.dev/v1", Kind: "PipelineRun", Namespace: "team",
				Name: "run"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "run.1", UID: "u", ResourceVersion: "7"},
			Reason:     "UpdateFailed",
			Message:    `Failed to update status for "run": Request entity too large: limit is 3145728`,
		}
		change(e)
		return e
	}
	for name, tc := range map[string]struct {
		change func(*corev1.Event)
		want   bool
	}{
		"a status that could not be sent":  {func(*corev1.Event) {}, true},
		"a TaskRun that could not be sent": {func(e *corev1.Event) { e.Reason = "TaskRunsCreationFailed" }, true},
		"a status that etcd refused": {
			func(e *corev1.Event) { e.Message = "etcdserver: request is too large" }, false,
		},
		"another reason": {func(e *corev1.Event) { e.Reason = "Failed" }, false},
		"another kind":   {func(e *corev1.Event) { e.InvolvedObject.Kind = "Pod" }, false},
		"another group": {
			func(e *corev1.Event) { e.InvolvedObject.APIVersion = "team.dev/v1" }, false,
		},
		"a run of another namespace": {func(e *corev1.Event) { e.Namespace = "other" }, false},
		"a name that no object can have": {func(e *corev1.Event) { e.InvolvedObject.Name = strings.Repeat("n", 254) },
			false},
		"words at the end of a long message": {func(e *corev1.Event) {
			e.Message = strings.Repeat("m", 1<<20) + e.Message
			e.InvolvedObject.FieldPath, e.InvolvedObject.APIVersion = strings.Repeat("p", 1<<20), "tekton.dev/"+
				strings.Repeat("v", 1<<20)
			e.Annotations = map[string]string{"a": strings.Repeat("a", 1<<18)}
		}, true},
		"a long message without them": {func(e *corev1.Event) { e.Message = strings.Repeat("m", 1<<20) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := event(tc.change)
			subject, got := subjectOf(e)
			if got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, time := range []string{`null`, `"10000-01-01T23:58:59Z"`, `7`} { // anybody may write it
				object, err := read(bytes.Replace(text, []byte(`"firstTimestamp":null`), []byte(`"firstTimestamp":`+time), 1))
				if err != nil {
					t.Fatal(err)
				}
				if again, got := subjectOf(object.(*corev1.Event)); got != tc.want || got && again != subject {
					t.Errorf("what is read is about %v, %v; want %v, %v", again, got, subject, tc.want)
				}
			}
		})
	}
}
