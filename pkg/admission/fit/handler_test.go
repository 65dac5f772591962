package fit

import (
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

func TestCreation(t *testing.T) {
	param := func(name string, value any) fields { return fields{"name": name, "value": value} }
	array := list{text("a", 600_000), text("b", 600_000), text("c", 600_000)}
	tests := map[string]struct {
		spec fields
		want string // "" if it is created
	}{
		"forbid parameters that cannot be stored": {
			fields{"params": list{param("small", "s"), param("texts", array)}, "taskRef": fields{"name": "t"}},
			`the TaskRun is 1800216 bytes (1.72 MiB) as stored, but a run of at most 1468416 bytes (1.4 MiB) can be stored with its status; ` +
				`largest: parameter "texts", 1800010 bytes (1.72 MiB); parameter "small", 1 bytes. ` + wayOut,
		},
		"forbid an embedded Task that cannot be stored": {
			fields{"taskSpec": script(text("a", 1_500_000))}, "largest: spec.taskSpec, 1500038 bytes (1.43 MiB)",
		},
		"forbid a parameter used so often that the controller could not send the status": {
			fields{"params": list{param("text", text("a", 1_000_000))},
				"taskSpec": script("$(params.text) $(params.text) " +
					"$(params.text)")},
			`the TaskRun would be 4000337 bytes (3.82 MiB) with its Task's parameters put in, but the API server accepts at most 3080192 bytes (2.94 MiB); ` +
				`largest: parameter "text", 1000000 bytes (976.56 KiB), used 3 times. `,
		},
		"allow one used twice": {fields{"params": list{param("text", text("a", 1_000_000))},
			"taskSpec": script("$(params.text)")},
			""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a := ask(t, "TaskRun", fields{"spec": tc.spec}, nil)
			if tc.want == "" {
				wantUnchanged(t, a)
				return
			}
			if a.Allowed || a.Result.Code != http.StatusUnprocessableEntity ||
				a.Result.Reason != metav1.StatusReasonInvalid {
				t.Fatalf("answered %v, want 422 Invalid, which ends the PipelineRun", a.Result)
			}
			if !strings.Contains(a.Result.Message, tc.want) || strings.Contains(a.Result.Message, text("a", 20)) {
				t.Errorf("message %.900q, want %q", a.Result.Message, tc.want)
			}
		})
	}
}

func TestScope(t *testing.T) {
	large := marshal(t, fields{"status": fields{"childReferences": list{child("one", text("a", 1_500_000))}}})
	request := func(change func(*admissionv1.AdmissionRequest)) admission.Request {
		var req admission.Request
		req.Operation, req.SubResource, req.UserInfo.Username = admissionv1.Update, "status", controllerName
		req.Resource = metav1.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}
		req.Object.Raw = large
		change(&req.AdmissionRequest)
		return req
	}
	t.Run("the controller's status is shortened", func(t *testing.T) {
		if a := askAbout(t, request(func(*admissionv1.AdmissionRequest) {})); len(a.Patch) == 0 {
			t.Error("no patch")
		}
	})
	for name, change := range map[string]func(*admissionv1.AdmissionRequest){
		"a status that another writes": func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "ada" },
		"a write of the spec":          func(r *admissionv1.AdmissionRequest) { r.SubResource = "" },
		"a deletion":                   func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Delete },
		"another resource":             func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = "tasks" },
		"another group":                func(r *admissionv1.AdmissionRequest) { r.Resource.Group = "apps" },
		"a malformed object":           func(r *admissionv1.AdmissionRequest) { r.Object.Raw = []byte(`{"status":`) },
		"no object":                    func(r *admissionv1.AdmissionRequest) { r.Object.Raw = []byte("null") },
		"an object of other types": func(r *admissionv1.AdmissionRequest) {
			r.Object.Raw = []byte(
				`{"spec":5,"status":[{"conditions":1}]}`)
		},
		"a creation by a subresource path": func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Create },
	} {
		t.Run(name+" passes unchanged", func(t *testing.T) {
			wantUnchanged(t, askAbout(t, request(change)))
		})
	}
}
