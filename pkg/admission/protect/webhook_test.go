package protect

import (
	"context"
	"encoding/json"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/result"
)

func creation(resource, object string) admission.Request {
	return admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Operation: admissionv1.Create, Namespace: "ci",
		Resource: metav1.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: resource},
		Object:   runtime.RawExtension{Raw: []byte(object)},
	}}
}

// apply returns an object as the API server has it after an answer.
func apply(t *testing.T, response admission.Response, req admission.Request) string {
	t.Helper()
	if !response.Allowed || len(response.Warnings) > 0 {
		t.Fatalf("answered %+v", response.AdmissionResponse)
	}
	if err := response.Complete(req); err != nil {
		t.Fatal(err)
	}
	if response.Patch == nil {
		return string(req.Object.Raw)
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		t.Fatal(err)
	}
	after, err := patch.Apply(req.Object.Raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, response.Patch)
	}
	return string(after)
}

func counted(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if n := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()); n > 0 {
				name := family.GetName()
				for _, label := range m.GetLabel() {
					name += " " + label.GetValue()
				}
				counts[name] = n
			}
		}
	}
	return counts
}

func TestHandle(t *testing.T) {
	change := func(req admission.Request, change func(*admission.Request)) admission.Request {
		change(&req)
		return req
	}
	plain := `{"metadata":{"name":"run"},"spec":{"size":1e400}}`
	tests := map[string]struct {
		request admission.Request
		want    string // "" if nothing changes
		outcome string
	}{
		"protect a TaskRun": {
			creation("taskruns", `{"metadata":{"name":"run"},"spec":{"params":[]}}`),
			`{"metadata":{"name":"run","finalizers":["indelible.dev/archive"]},"spec":{"params":[]}}`, "protected",
		},
		"protect a PipelineRun whose name is not chosen yet": {
			creation("pipelineruns", `{"metadata":{"generateName":"run-"}}`),
			`{"metadata":{"generateName":"run-","finalizers":["indelible.dev/archive"]}}`, "protected",
		},
		"protect a CustomRun": {
			change(creation("customruns", `{"metadata":{}}`),
				func(r *admission.Request) { r.Resource.Version = "v1beta1" }),
			`{"metadata":{"finalizers":["indelible.dev/archive"]}}`, "protected",
		},
		"protect in a request that is a rehearsal": {
			change(creation("taskruns", `{"metadata":{}}`),
				func(r *admission.Request) { r.DryRun = new(bool); *r.DryRun = true }),
			`{"metadata":{"finalizers":["indelible.dev/archive"]}}`, "protected",
		},
		"protect where the list is null": {creation("taskruns", `{"metadata":{"finalizers":null}}`),
			`{"metadata":{"finalizers":["indelible.dev/archive"]}}`,
			"protected"},
		"protect where the list is empty": {creation("taskruns", `{"metadata":{"finalizers":[]}}`),
			`{"metadata":{"finalizers":["indelible.dev/archive"]}}`,
			"protected"},
		"protect behind another's finalizers": {
			creation("taskruns", `{"metadata":{"finalizers":["chains.tekton.dev/taskrun","a/b"]}}`),
			`{"metadata":{"finalizers":["chains.tekton.dev/taskrun","a/b","indelible.dev/archive"]}}`, "protected",
		},
		"protect whoever writes another value into the annotation": {
			creation("taskruns", `{"metadata":{"annotations":{"indelible.dev/archive":"Disabled"}}}`),
			`{"metadata":{"annotations":{"indelible.dev/archive":"Disabled"},"finalizers":["indelible.dev/archive"]}}`,
			"protected",
		},
		"take another run's marks away": {
			creation("pipelineruns", `{"metadata":{"annotations":{"a":"b","indelible.dev/archived":"2026-01-02T03:04:05Z","results.tekton.dev/record":"n/results/r/records/u",
			  "results.tekton.dev/log":"l","results.tekton.dev/eventlist":"e","results.tekton.dev/stored":"true","results.tekton.dev/result":"n/results/r","results.tekton.dev/resultAnnotations":"{}"}}}`),
			`{"metadata":{"annotations":{"a":"b","results.tekton.dev/resultAnnotations":"{}"},"finalizers":["indelible.dev/archive"]}}`,
			"protected",
		},
		"take them away from what opted out": {
			creation("taskruns",
				`{"metadata":{"annotations":{"indelible.dev/archive":"disabled","results.tekton.dev/stored":"true"}}}`),
			`{"metadata":{"annotations":{"indelible.dev/archive":"disabled"}}}`, "opted-out",
		},
		"take them away from what is protected": {
			creation("taskruns",
				`{"metadata":{"annotations":{"indelible.dev/archived":"x"},"finalizers":["indelible.dev/archive"]}}`),
			`{"metadata":{"annotations":{},"finalizers":["indelible.dev/archive"]}}`, "already",
		},
		"leave the name of a Result, which puts runs together": {
			creation("taskruns", `{"metadata":{"annotations":{"results.tekton.dev/result":"n/results/r"}}}`),
			`{"metadata":{"annotations":{"results.tekton.dev/result":"n/results/r"},"finalizers":["indelible.dev/archive"]}}`,
			"protected",
		},
		"leave alone what is protected": {creation("taskruns",
			`{"metadata":{"finalizers":["a/b","indelible.dev/archive"]}}`),
			"", "already"},
		"leave alone what opted out": {creation("pipelineruns",
			`{"metadata":{"annotations":{"indelible.dev/archive":"disabled"}}}`),
			"", "opted-out"},
		"leave alone an opt-out with the finalizer, which somebody chose": {
			creation("taskruns",
				`{"metadata":{"annotations":{"indelible.dev/archive":"disabled"},"finalizers":["indelible.dev/archive"]}}`),
			"", "opted-out",
		},
		"leave alone a Task": {creation("tasks", plain), "", "not-a-run"},
		"leave alone another group's": {change(creation("taskruns", plain),
			func(r *admission.Request) { r.Resource.Group = "example.dev" }),
			"", "not-a-run"},
		"leave alone an update": {change(creation("taskruns", plain),
			func(r *admission.Request) { r.Operation = admissionv1.Update }),
			"", "not-a-run"},
		"leave alone a status": {change(creation("taskruns", plain),
			func(r *admission.Request) { r.SubResource = "status" }),
			"", "not-a-run"},
		"leave alone what cannot be read": {
			creation("taskruns", `{"metadata":{"finalizers":"a"}}`), "", "unreadable",
		},
		"leave alone what is not an object": {creation("taskruns", `[]`), "", "unreadable"},
		"leave alone what has no metadata":  {creation("taskruns", `{"metadata":null}`), "", "unreadable"},
		"leave alone nothing at all":        {creation("taskruns", ``), "", "unreadable"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewPedanticRegistry()
			h := New(Options{Metrics: NewMetrics(registry), Log: logr.Discard()})
			got := apply(t, h.Handle(context.Background(), tc.request), tc.request)
			if tc.want == "" {
				if got != string(tc.request.Object.Raw) {
					t.Errorf("changed to %s", got)
				}
			} else if diff := cmp.Diff(tree(t, tc.want), tree(t, got)); diff != "" {
				t.Error(diff)
			}
			want := map[string]float64{"indelible_protect_runs_total " + tc.outcome: 1,
				"indelible_protect_duration_seconds": 1}
			if diff := cmp.Diff(want, counted(t, registry)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The webhook does not link the archiver, so each has the name for itself.
func TestFinalizerIsTheArchivers(t *testing.T) {
	if result.ArchiveKey != run.Finalizer {
		t.Errorf("protects with %s, released is %s", result.ArchiveKey, run.Finalizer)
	}
}

func tree(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
