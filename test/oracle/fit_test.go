package oracle

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelineresources "github.com/tektoncd/pipeline/pkg/reconciler/pipelinerun/resources"
	taskresources "github.com/tektoncd/pipeline/pkg/reconciler/taskrun/resources"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/admission/fit"
	"github.com/indelible-ci/indelible/pkg/result"
)

// large are parameters of every type, with values that are part of each other, and one made of a
// given text.
func large(of string) pipelinev1.Params {
	a, b := strings.Repeat("a", 400_000), strings.Repeat(of, 2_000)
	return pipelinev1.Params{
		{Name: "text", Value: *pipelinev1.NewStructuredValues(a)},
		{Name: "longer", Value: *pipelinev1.NewStructuredValues(a + "longer")},
		{Name: "list", Value: *pipelinev1.NewStructuredValues(b, "short", strings.Repeat("c", 9_000))},
		{Name: "map", Value: *pipelinev1.NewObject(map[string]string{"key": strings.Repeat("d", 9_000), "other": "e"})},
		{Name: "with.dot", Value: *pipelinev1.NewStructuredValues(strings.Repeat("f", 9_000))},
	}
}

const takingTask = `
params: [{name: text}, {name: longer}, {name: list, type: array}, {name: map, type: object, properties: {key: {}, other: {}}}, {name: with.dot}, {name: default, default: g}]
steps:
- name: one
  image: i
  script: "$(params.text) is in $(params.longer), $(params['with.dot']) $(params.default)"
  env: [{name: E, value: "$(params.map.key) $(params.map.other) $(params.list[1])"}]
- name: two
  image: i
  command: [c, "$(params.text)"]
  args: ["$(params.list[*])", "$(params.list[0])", literal]
sidecars:
- {name: three, image: i, script: "$(params.longer)"}`

// TestReferencesAreTekton's: what fit makes of a status is, with Tekton's own substitution, what
// Tekton had written. It is what the controller does with the status of a run whose Task or
// Pipeline was referred to.
func TestReferencesAreTektons(t *testing.T) {
	t.Run("of a TaskRun", func(t *testing.T) {
		var spec pipelinev1.TaskSpec
		must(t, yaml.UnmarshalStrict([]byte(takingTask), &spec))
		tr := &pipelinev1.TaskRun{Spec: pipelinev1.TaskRunSpec{Params: large("$(params.list[0]) "),
			TaskRef: &pipelinev1.TaskRef{Name: "task"}}}
		substituted := taskresources.ApplyParameters(&spec, tr, spec.Params...)
		tr.Status.TaskSpec = substituted
		var stored pipelinev1.TaskRun
		fitted(t, "taskruns", tr, &stored)
		again := taskresources.ApplyParameters(stored.Status.TaskSpec, &stored, stored.Status.TaskSpec.Params...)
		if diff := cmp.Diff(len(encoded(t, substituted)), len(encoded(t, again))); diff != "" ||
			string(encoded(t, substituted)) != string(encoded(t, again)) {
			t.Errorf("Tekton makes another Task of it: sizes differ by %s", diff)
		}
	})
	t.Run("of a PipelineRun", func(t *testing.T) {
		var task pipelinev1.TaskSpec
		must(t, yaml.UnmarshalStrict([]byte(takingTask), &task))
		taken := pipelinev1.PipelineTask{Name: "a", TaskSpec: &pipelinev1.EmbeddedTask{TaskSpec: task},
			Params: pipelinev1.Params{
				{Name: "text", Value: *pipelinev1.NewStructuredValues("$(params.text)")},
				{Name: "list", Value: *pipelinev1.NewStructuredValues("$(params.list[*])", "$(params.longer)")},
			}}
		free := taken.DeepCopy()
		free.Name, free.TaskSpec.Params = "b", nil // parameters are propagated
		free.When = pipelinev1.WhenExpressions{{Input: "$(params.longer)", Operator: "in",
			Values: []string{"$(params.text)"}}}
		spec := &pipelinev1.PipelineSpec{Params: task.Params, Tasks: []pipelinev1.PipelineTask{taken, *free}}
		// Tekton puts values into parameters first and then into the Task, so that it changes a
		// value that looks like a reference by itself each time.
		pr := &pipelinev1.PipelineRun{Spec: pipelinev1.PipelineRunSpec{Params: large("no reference "),
			PipelineRef: &pipelinev1.PipelineRef{Name: "pipeline"}}}
		substituted, err := pipelineresources.ApplyParameters(spec, pr)
		must(t, err)
		pr.Status.PipelineSpec = substituted
		var stored pipelinev1.PipelineRun
		fitted(t, "pipelineruns", pr, &stored)
		again, err := pipelineresources.ApplyParameters(stored.Status.PipelineSpec, &stored)
		must(t, err)
		if string(encoded(t, substituted)) != string(encoded(t, again)) {
			t.Errorf("Tekton makes another Pipeline of it: %d bytes instead of %d", len(encoded(t, again)),
				len(encoded(t, substituted)))
		}
	})
}

// fitted sends a controller's write to fit, which must make it small enough to be stored, and
// returns the stored object.
func fitted(t *testing.T, resource string, run, into any) {
	t.Helper()
	const controller = "system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"
	req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Operation: admissionv1.Update, SubResource: "status", UserInfo: authenticationv1.UserInfo{Username: controller},
		Resource: metav1.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: resource},
		Object:   runtime.RawExtension{Raw: encoded(t, run)},
	}}
	response := fit.New(fit.Options{Log: logr.Discard(), Settings: func() fit.Settings {
		return fit.Settings{Controllers: []string{controller}, Limits: result.DefaultLimits()}
	}}).Handle(context.Background(), req)
	must(t, response.Complete(req))
	patch, err := jsonpatch.DecodePatch(response.Patch)
	must(t, err)
	final, err := patch.Apply(req.Object.Raw)
	must(t, err)
	if len(req.Object.Raw) <= 1_572_864 || len(final) > 1_468_416 {
		t.Fatalf("%d bytes became %d, want what cannot be stored to become what can", len(req.Object.Raw), len(final))
	}
	must(t, json.Unmarshal(final, into))
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	must(t, err)
	return raw
}
