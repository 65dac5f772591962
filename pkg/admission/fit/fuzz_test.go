package fit

import (
	"encoding/json"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// For any run: no panic; the computed size is that of the resulting object; and a run that is
// shortened grows at most by the message.
func FuzzFit(f *testing.F) {
	for _, seed := range []string{
		`{"spec":{"params":[{"name":"a","value":"LONG"},{"name":"b","value":["LONG","x"]},{"name":"c","value":{"k":"LONG"}}],"taskRef":{"name":"t"}},
		  "status":{"taskSpec":{"results":[{"name":"r"}],"params":[{"name":"d","default":"LONG"}],"steps":[{"script":"echo LONG"},{"args":["LONG","LONG"]}]}}}`,
		`{"spec":{"taskSpec":{"steps":[]}},"status":{"taskSpec":{"steps":[{"script":"LONG"}]},"retriesStatus":[{"results":[{"name":"r","value":"LONG"},{"value":["LONG"]},{"value":5}],"taskSpec":{"steps":["LONG"]},"steps":[{"results":[{"value":"LONG"}]}]}]}}`,
		`{"status":{"conditions":[{"type":"Succeeded","status":"True","message":"m"}],"childReferences":[{"whenExpressions":[{"input":"LONG","values":["LONG"]}]}],"skippedTasks":[{"whenExpressions":"LONG"}],"results":[{"name":"r","value":"LONG"},{"name":"s","value":["<&>"]}]}}`,
		`{"status":{"conditions":[{"type":"Succeeded","status":"False","reason":"PodCreationFailed","message":"request is too large"}],"results":[null,5,{"value":{}}]}}`,
		`{"metadata":{"annotations":{"indelible.dev/too-large":"why"}},"status":{"conditions":[{"type":"Succeeded","status":"False"}],"pipelineSpec":{"tasks":[{"taskSpec":{"params":[{"name":"a"}]}}],"finally":{}}}}`,
		`{}`, `{"status":null,"spec":[]}`,
		`{"status":{"conditions":[1,{"type":"Succeeded"}],"retriesStatus":5,"taskSpec":[]}}`,
	} {
		f.Add(seed, uint32(2000), true)
		f.Add(seed, uint32(900_000), false)
	}
	f.Fuzz(func(t *testing.T, seed string, long uint32, isTaskRun bool) {
		var value any
		if json.Unmarshal([]byte(strings.ReplaceAll(seed, "LONG", strings.Repeat("l", int(long%1_000_000)))),
			&value) != nil {
			return
		}
		raw := marshal(t, value)
		o, err := decode(raw)
		if err != nil {
			return
		}
		req := &admissionv1.AdmissionRequest{Operation: admissionv1.Update}
		req.Resource.Resource = map[bool]string{true: "taskruns", false: "pipelineruns"}[isTaskRun]
		decide(req, o, result.DefaultLimits())
		if got := len(marshal(t, o.root)); got != o.size {
			t.Errorf("the object has %d bytes, counted are %d", got, o.size)
		}
		if o.size > len(raw)+roomForWords {
			t.Errorf("%d bytes have become %d", len(raw), o.size)
		}
		o.refusal("TaskRun")
	})
}
