package guard

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A pod's write is given as a status, sent whole, with the rest of the stored object, and sparse,
// as the publisher sends it. want is what must be stored, as a merge patch to the stored status.
func TestPodWritesThatAreAllowed(t *testing.T) {
	const nothing = `{"annotations":{"indelible.dev/published":"pod-uid"}}` // beside what is stored
	tests := []struct {
		name     string
		stored   string
		patch    string
		want     string
		warnings []string
	}{
		{
			name:  "allow a declared string, and keep it a string though it looks like a list",
			patch: `{"results":[{"name":"text","value":"[\"a\"]\n"}]}`,
			want:  `{"results":[{"name":"text","type":"string","value":"[\"a\"]\n"}]}`,
		},
		{
			name:  "allow an array and an object, and store them as such",
			patch: `{"results":[{"name":"list","value":"[\"a\",\"b\"]"},{"name":"map","value":"{\"a\":\"1\"}"}]}`,
			want:  `{"results":[{"name":"list","type":"array","value":["a","b"]},{"name":"map","type":"object","value":{"a":"1"}}]}`,
		},
		{
			name:     "allow a string where an array is declared, but leave it out and say so",
			patch:    `{"results":[{"name":"list","value":"plain"},{"name":"text","value":"x"}]}`,
			want:     `{"results":[{"name":"text","type":"string","value":"x"}]}`,
			warnings: []string{`result "list" is declared array, but its value is a string; Tekton drops it`},
		},
		{
			name:     "allow a list of numbers where an array is declared, but leave it out as Tekton does",
			patch:    `{"results":[{"name":"list","value":"[1,2]"}]}`,
			want:     nothing,
			warnings: []string{`result "list" is declared array, but its value is a string; Tekton drops it`},
		},
		{
			name:     "allow an array where an object is declared, but leave it out",
			patch:    `{"results":[{"name":"map","value":"[\"a\"]"}]}`,
			want:     nothing,
			warnings: []string{`result "map" is declared object, but its value is an array; Tekton drops it`},
		},
		{
			name:  "allow step results in the partial form, put them on the stored step, and resolve the Task result",
			patch: `{"steps":[{"name":"build","results":[{"name":"digest","value":"sha256:1"}]}]}`,
			want: `{"results":[{"name":"digest","type":"string","value":"sha256:1"}],
			  "steps":[
			  {"name":"build","container":"step-build","imageID":"img@sha256:1","running":{"startedAt":"2026-01-02T03:04:06Z"},
			   "results":[{"name":"digest","type":"string","value":"sha256:1"}]},
			  {"name":"sign","container":"step-sign","imageID":"img@sha256:2","running":{"startedAt":"2026-01-02T03:04:07Z"}}]}`,
		},
		{
			name: "allow step results in the full form",
			patch: `{"steps":[
			  {"name":"build","container":"step-build","imageID":"img@sha256:1","running":{"startedAt":"2026-01-02T03:04:06Z"}},
			  {"name":"sign","container":"step-sign","imageID":"img@sha256:2","running":{"startedAt":"2026-01-02T03:04:07Z"},
			   "results":[{"name":"sig","value":"s"}]}]}`,
			want: `{"steps":[
			  {"name":"build","container":"step-build","imageID":"img@sha256:1","running":{"startedAt":"2026-01-02T03:04:06Z"}},
			  {"name":"sign","container":"step-sign","imageID":"img@sha256:2","running":{"startedAt":"2026-01-02T03:04:07Z"},
			   "results":[{"name":"sig","type":"string","value":"s"}]}]}`,
		},
		{
			name:   "allow results of a declared step that status.steps does not have yet",
			stored: `{"steps":null}`,
			patch:  `{"steps":[{"name":"sign","results":[{"name":"sig","value":"s"}]}]}`,
			want:   `{"steps":[{"name":"sign","container":"step-sign","results":[{"name":"sig","type":"string","value":"s"}]}]}`,
		},
		{
			name:  "allow a step result of another type than declared, which Tekton stores too, where it feeds no Task result",
			patch: `{"steps":[{"name":"sign","results":[{"name":"sig","value":"s"}]}],"results":[{"name":"text","value":"x"}]}`,
			want: `{"results":[{"name":"text","type":"string","value":"x"}],"steps":[
			  {"name":"build","container":"step-build","imageID":"img@sha256:1","running":{"startedAt":"2026-01-02T03:04:06Z"}},
			  {"name":"sign","container":"step-sign","imageID":"img@sha256:2","running":{"startedAt":"2026-01-02T03:04:07Z"},
			   "results":[{"name":"sig","type":"string","value":"s"}]}]}`,
		},
		{
			name:     "allow a step result of the wrong type, but leave it out if it feeds a Task result",
			patch:    `{"steps":[{"name":"build","results":[{"name":"files","value":"none"}]}]}`,
			want:     nothing,
			warnings: []string{`result "files" is declared array, but its value is a string; Tekton drops it`},
		},
		{
			name:   "allow the same values again, and change nothing",
			stored: `{"results":[{"name":"list","type":"array","value":["a"]},{"name":"text","type":"string","value":"x"}]}`,
			patch:  `{"results":[{"name":"list","value":"[ \"a\" ]"},{"name":"text","value":"x"}]}`,
			want:   `{}`,
		},
		{
			name: "allow the same step results again, without the Task result computed from them",
			stored: `{"results":[{"name":"text","type":"string","value":"x"},{"name":"digest","type":"string","value":"d"}],
			  "steps":[{"name":"build","container":"step-build","results":[{"name":"digest","type":"string","value":"d"}]}]}`,
			patch: `{"results":[{"name":"text","value":"x"}],"steps":[{"name":"build","results":[{"name":"digest","value":"d"}]}]}`,
			want:  `{}`,
		},
		{
			name:   "allow the same values again after the run is finished",
			stored: `{"completionTime":"2026-01-02T03:05:00Z","results":[{"name":"text","type":"string","value":"x"}]}`,
			patch:  `{"results":[{"name":"text","value":"x"}]}`,
			want:   `{}`,
		},
		{
			name:   "allow stored results in another order, and keep theirs",
			stored: `{"results":[{"name":"text","type":"string","value":"x"},{"name":"list","type":"array","value":["a"]}]}`,
			patch:  `{"results":[{"name":"list","value":"[\"a\"]"},{"name":"text","value":"x"}]}`,
			want:   `{}`,
		},
		{
			name:   "allow a write without stored results and steps, and keep them",
			stored: `{"results":[{"name":"text","type":"string","value":"x"}],"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]}]}`,
			patch:  `{"results":null,"steps":null}`,
			want:   `{}`,
		},
		{
			name:   "allow a step without its stored results, and keep them",
			stored: `{"steps":[{"name":"build","container":"step-build","results":[{"name":"digest","type":"string","value":"d"}]}]}`,
			patch:  `{"steps":[{"name":"build","results":[]}]}`,
			want:   `{}`,
		},
		{
			name:  "allow a write without fields of the status, and keep them",
			patch: `{"artifacts":null,"spanContext":null,"conditions":null,"podName":null}`,
			want:  nothing,
		},
		{
			name:  "allow a write that changes nothing",
			patch: `{}`,
			want:  nothing,
		},
		{
			name:  "allow a write that empties a list of steps without results, and keep the steps",
			patch: `{"steps":[]}`,
			want:  nothing,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := running
			if tt.stored != "" {
				stored = withStatus(t, tt.stored)
			}
			for form, write := range map[string]func(stored string) string{
				"whole":  func(stored string) string { return mergePatch(t, stored, `{"status":`+tt.patch+`}`) },
				"sparse": func(string) string { return sparse(mergePatch(t, `{}`, tt.patch)) },
			} {
				b := newBench(t)
				resp, got := b.guard(ownPod, stored, write(stored))
				if !resp.Allowed {
					t.Fatalf("%s: denied: %s", form, resp.Result.Message)
				}
				wantSame(t, got, mergePatch(t, stored, `{"status":`+tt.want+`}`))
				if diff := cmp.Diff(tt.warnings, resp.Warnings); diff != "" {
					t.Errorf("%s: warnings (-want +got):\n%s", form, diff)
				}
				again, twice := b.guard(ownPod, got, write(got))
				if !again.Allowed {
					t.Fatalf("%s: the same write again is denied: %s", form, again.Result.Message)
				}
				wantSame(t, twice, got)
			}
		})
	}
}

func TestPodWritesThatAreForbidden(t *testing.T) {
	const published = `{"results":[{"name":"text","type":"string","value":"x"},{"name":"list","type":"array","value":["a"]}],
	  "steps":[{"name":"build","container":"step-build","results":[{"name":"digest","type":"string","value":"d"}]}]}`
	tests := []struct {
		name   string
		stored string
		// patch is a merge patch of the whole object.
		patch string
		code  int32
		rule  string
		text  string
	}{
		{name: "forbid an undeclared result", patch: `{"status":{"results":[{"name":"IMAGE_DIGEST","value":"v"}]}}`,
			code: 422, rule: "declared", text: `"IMAGE_DIGEST"`},
		{name: "forbid a result that takes its value from a step",
			patch: `{"status":{"results":[{"name":"digest","value":"v"}]}}`, code: 422, rule: "declared",
			text: `"digest"`},
		{name: "forbid a result without a name", patch: `{"status":{"results":[{"value":"v"}]}}`, code: 422,
			rule: "declared",
			text: `status.results`},
		{name: "forbid a result twice",
			patch: `{"status":{"results":[{"name":"text","value":"v"},{"name":"text","value":"w"}]}}`, code: 422,
			rule: "declared", text: `"text" twice`},
		{name: "forbid a step result that only the Task declares",
			patch: `{"status":{"steps":[{"name":"build","results":[{"name":"text","value":"v"}]}]}}`, code: 422,
			rule: "declared", text: `"text"`},
		{name: "forbid a step result that another step declares",
			patch: `{"status":{"steps":[{"name":"build","results":[{"name":"sig","value":"v"}]}]}}`, code: 422,
			rule: "declared",
			text: `"sig"`},
		{name: "forbid a step result twice",
			patch: `{"status":{"steps":[{"name":"sign","results":[{"name":"sig","value":"v"},{"name":"sig","value":"v"}]}]}}`,
			code:  422, rule: "declared", text: `"sig" twice`},
		{name: "forbid an unknown step", patch: `{"status":{"steps":[{"name":"evil","results":[]}]}}`, code: 422,
			rule: "declared", text: `"evil"`},
		{name: "forbid a step twice", patch: `{"status":{"steps":[{"name":"build"},{"name":"build"}]}}`, code: 422,
			rule: "declared", text: `"build" twice`},
		{name: "forbid any result while nothing is declared", stored: `{"taskSpec":null}`,
			patch: `{"status":{"results":[{"name":"text","value":"v"}]}}`, code: 422, rule: "declared", text: `"text"`},

		{name: "forbid a number as a value", patch: `{"status":{"results":[{"name":"list","value":5}]}}`, code: 422,
			rule: "type", text: `"list"`},
		{name: "forbid a nested object as a value",
			patch: `{"status":{"results":[{"name":"map","value":{"a":{"b":"c"}}}]}}`,
			code:  422, rule: "type", text: `"map"`},
		{name: "forbid a result without a value", patch: `{"status":{"results":[{"name":"text"}]}}`, code: 422,
			rule: "type",
			text: `must be a string`},
		{name: "forbid a type that is not the value's",
			patch: `{"status":{"results":[{"name":"text","type":"array","value":"v"}]}}`, code: 422, rule: "type",
			text: `another type`},

		{name: "forbid changing a stored result", stored: published,
			patch: `{"status":{"results":[{"name":"text","value":"y"},{"name":"list","value":"[\"a\"]"}]}}`, code: 422,
			rule: "once", text: `"text" is stored and cannot be changed`},
		{name: "forbid changing the type of a stored result", stored: published,
			patch: `{"status":{"results":[{"name":"text","value":"x"},{"name":"list","type":"string","value":"[\"a\"]"}]}}`,
			code:  422, rule: "once", text: `"list" is stored and cannot be changed`},
		{name: "forbid changing a stored step result", stored: published,
			patch: `{"status":{"steps":[{"name":"build","results":[{"name":"digest","value":"e"}]}]}}`, code: 422,
			rule: "once",
			text: `"digest"`},

		{name: "forbid more results after the stored ones", stored: published,
			patch: `{"status":{"results":[{"name":"text","value":"x"},{"name":"list","value":"[\"a\"]"},{"name":"map","value":"{}"}]}}`, code: 422, rule: "closed", text: "has published its results already"},
		{name: "forbid a result beside stored ones that are left out", stored: published,
			patch: `{"status":{"results":[{"name":"map","value":"{}"}]}}`, code: 422, rule: "closed",
			text: "may not add any"},
		{name: "forbid a step result beside a stored one", stored: published,
			patch: `{"status":{"steps":[{"name":"sign","results":[{"name":"sig","value":"s"}]}]}}`, code: 422,
			rule: "closed",
			text: "may not add any"},
		{name: "forbid a result after step results alone",
			stored: `{"steps":[{"name":"build","container":"step-build","results":[{"name":"digest","type":"string","value":"d"}]}]}`, patch: `{"status":{"results":[{"name":"text","value":"x"}]}}`, code: 422, rule: "closed", text: "may not add any"},
		{name: "forbid a result after the completion time", stored: `{"completionTime":"2026-01-02T03:05:00Z"}`,
			patch: `{"status":{"results":[{"name":"text","value":"v"}]}}`, code: 403, rule: "frozen", text: `finished`},
		{name: "forbid a result of a succeeded run", stored: `{"conditions":[{"type":"Succeeded","status":"True"}]}`,
			patch: `{"status":{"results":[{"name":"text","value":"v"}]}}`, code: 403, rule: "frozen", text: `finished`},
		{name: "forbid a step result of a failed run",
			stored: `{"conditions":[{"type":"Ready","status":"True"},{"type":"Succeeded","status":"False"}]}`,
			patch:  `{"status":{"steps":[{"name":"sign","results":[{"name":"sig","value":"v"}]}]}}`, code: 403,
			rule: "frozen",
			text: `finished`},

		{name: "forbid changing conditions", patch: `{"status":{"conditions":[{"type":"Succeeded","status":"True"}]}}`,
			code: 422, rule: "fields", text: `"status.conditions"`},
		{name: "forbid changing podName", patch: `{"status":{"podName":"mine"}}`, code: 422, rule: "fields",
			text: `"status.podName"`},
		{name: "forbid setting completionTime", patch: `{"status":{"completionTime":"2026-01-02T03:05:00Z"}}`,
			code: 422,
			rule: "fields", text: `"status.completionTime"`},
		{name: "forbid changing startTime", patch: `{"status":{"startTime":"2020-01-02T03:05:00Z"}}`, code: 422,
			rule: "fields", text: `"status.startTime"`},
		{name: "forbid changing provenance", patch: `{"status":{"provenance":{"refSource":{"uri":"evil"}}}}`, code: 422,
			rule: "fields", text: `"status.provenance"`},
		{name: "forbid changing artifacts", patch: `{"status":{"artifacts":{"outputs":[{"name":"evil"}]}}}`, code: 422,
			rule: "fields", text: `"status.artifacts"`},
		{name: "forbid changing spanContext", patch: `{"status":{"spanContext":{"t":"2"}}}`, code: 422, rule: "fields",
			text: `"status.spanContext"`},
		{name: "forbid a write over an object that has changed since it was read",
			patch: `{"metadata":{"resourceVersion":"6"},"status":{"results":[{"name":"text","value":"v"}]}}`, code: 409,
			rule: "fields", text: `try again`},
		{name: "forbid changing annotations of the status", patch: `{"status":{"annotations":{"c":"d"}}}`, code: 422,
			rule: "fields", text: `"status.annotations"`},
		{name: "forbid changing sidecars", patch: `{"status":{"sidecars":[]}}`, code: 422, rule: "fields",
			text: `"status.sidecars"`},
		{name: "forbid changing observedGeneration", patch: `{"status":{"observedGeneration":2}}`, code: 422,
			rule: "fields",
			text: `"status.observedGeneration"`},
		{name: "forbid changing the Task it ran",
			patch: `{"status":{"taskSpec":{"results":[{"name":"IMAGE_DIGEST","type":"string"}]}}}`, code: 422,
			rule: "fields",
			text: `"status.taskSpec"`},
		{name: "forbid an invented retry", patch: `{"status":{"retriesStatus":[{"podName":"x"}]}}`, code: 422,
			rule: "fields",
			text: `"status.retriesStatus"`},
		{name: "forbid a field nobody knows", patch: `{"status":{"future":1}}`, code: 422, rule: "fields",
			text: `"status.future"`},
		{name: "forbid a field with an empty name, alone and before another",
			patch: `{"":1,"status":{"":1,"podName":"mine"},"metadata":{"":1}}`, code: 422, rule: "fields",
			text: `change ""`},
		{name: "forbid a field of the status with an empty name", patch: `{"status":{"":1,"podName":"mine"}}`,
			code: 422,
			rule: "fields", text: `"status."`},
		{name: "forbid a field of a step with an empty name", stored: `{"steps":null}`,
			patch: `{"status":{"steps":[{"name":"build","":1}]}}`, code: 422, rule: "fields",
			text: `"status.steps[]."`},
		{name: "forbid a field of a result with an empty name",
			patch: `{"status":{"results":[{"name":"text","value":"v","":1}]}}`, code: 422, rule: "fields",
			text: `"status.results[]."`},
		{name: "forbid changing a label", patch: `{"metadata":{"labels":{"app":"y"}}}`, code: 422, rule: "fields",
			text: `"metadata.labels"`},
		{name: "forbid adding an annotation", patch: `{"metadata":{"annotations":{"chains.tekton.dev/signed":"true"}}}`,
			code: 422, rule: "fields", text: `"metadata.annotations"`},
		{name: "forbid adding a finalizer", patch: `{"metadata":{"finalizers":["x/y"]}}`, code: 422, rule: "fields",
			text: `"metadata.finalizers"`},
		{name: "forbid adding an owner", patch: `{"metadata":{"ownerReferences":[{"uid":"1"}]}}`, code: 422,
			rule: "fields",
			text: `"metadata.ownerReferences"`},
		{name: "forbid changing the spec", patch: `{"spec":{"status":"TaskRunCancelled"}}`, code: 422, rule: "fields",
			text: `"spec"`},
		{name: "forbid changing a step's state",
			patch: `{"status":{"steps":[{"name":"build","container":"step-build","imageID":"img@sha256:1","terminated":{"exitCode":0}}]}}`, code: 422, rule: "fields", text: `"status.steps[].`},
		{name: "forbid many changes of a step, and name the first",
			patch: `{"status":{"steps":[{"name":"build","h":1,"g":1,"f":1,"e":1,"d":1,"c":1,"b":1,"a":1,"i":1,"j":1,"k":1,"l":1}]}}`, code: 422, rule: "fields", text: `"status.steps[].a"`},
		{name: "forbid another image ID in the otherwise partial form",
			patch: `{"status":{"steps":[{"name":"build","imageID":"evil","results":[{"name":"digest","value":"d"}]}]}}`,
			code:  422, rule: "fields", text: `"status.steps[].`},
		{name: "forbid another container in the otherwise partial form",
			patch: `{"status":{"steps":[{"name":"build","container":"step-sign"}]}}`, code: 422, rule: "fields",
			text: `"status.steps[].`},
		{name: "forbid a new step with a state", stored: `{"steps":null}`,
			patch: `{"status":{"steps":[{"name":"build","terminated":{"exitCode":0}}]}}`, code: 422, rule: "fields",
			text: `"status.steps[].terminated"`},
		{name: "forbid a new step with provenance", stored: `{"steps":null}`,
			patch: `{"status":{"steps":[{"name":"build","provenance":{}}]}}`, code: 422, rule: "fields",
			text: `"status.steps[].provenance"`},
		{name: "forbid fields of a result that Tekton does not know",
			patch: `{"status":{"results":[{"name":"text","value":"v","signed":true}]}}`, code: 422, rule: "fields",
			text: `"status.results[].signed"`},

		{name: "forbid results that are no list", patch: `{"status":{"results":{"text":"v"}}}`, code: 422,
			rule: "request",
			text: `results`},
		{name: "forbid a result that is no object", patch: `{"status":{"results":["text"]}}`, code: 422,
			rule: "request",
			text: `results`},
		{name: "forbid a name that is no string", patch: `{"status":{"results":[{"name":5,"value":"v"}]}}`, code: 422,
			rule: "request", text: `name`},
		{name: "forbid a status that is no object", patch: `{"status":[]}`, code: 422, rule: "request", text: `status`},

		{name: "forbid writing before the pod's name is stored, for now", stored: `{"podName":""}`,
			patch: `{"status":{"results":[{"name":"text","value":"v"}]}}`, code: 409, rule: "identity",
			text: `try again`},
		{name: "forbid writing to an empty status, for now", stored: `null`,
			patch: `{"status":{"results":[{"name":"text","value":"v"}]}}`, code: 409, rule: "identity",
			text: `try again`},
		{name: "forbid an earlier attempt's pod to write to the next", stored: `{"podName":"build-pod-retry1"}`,
			patch: `{"status":{"results":[{"name":"text","value":"v"}]}}`, code: 403, rule: "identity",
			text: `status.podName`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := running
			if tt.stored != "" {
				stored = withStatus(t, tt.stored)
			}
			b := newBench(t)
			resp, _ := b.guard(ownPod, stored, mergePatch(t, stored, tt.patch))
			b.wantDenied(resp, tt.code, tt.rule, tt.text)
			if len(resp.Patch) > 0 {
				t.Errorf("a denial carries a patch: %s", resp.Patch)
			}
		})
	}
}

func TestDenialsNameNoValue(t *testing.T) {
	const secret = "hunter2"
	stored := withStatus(t, `{"results":[{"name":"text","type":"string","value":"x"}]}`)
	for _, patch := range []string{
		`{"results":[{"name":"text","value":"hunter2"}]}`,
		`{"results":[{"name":"text","value":"x"},{"name":"undeclared","value":"hunter2"}]}`,
		`{"results":[{"name":"text","value":"x"},{"name":"list","type":"array","value":"hunter2"}]}`,
		`{"results":[{"name":"text","value":"x"},{"name":"map","value":{"hunter2":1}}]}`,
		`{"spanContext":{"x":"hunter2"}}`,
	} {
		b := newBench(t)
		resp, _ := b.guard(ownPod, stored, mergePatch(t, stored, `{"status":`+patch+`}`))
		if resp.Allowed {
			t.Fatalf("allowed %s", patch)
		}
		if strings.Contains(resp.Result.Message, secret) || strings.Contains(b.log.String(), secret) {
			t.Errorf("a value is disclosed:\n%s\n%s", resp.Result.Message, b.log.String())
		}
	}
}

func TestDenialsCutLongNames(t *testing.T) {
	b := newBench(t)
	name := strings.Repeat("n", 1<<20)
	resp, _ := b.guard(ownPod, running,
		mergePatch(t, running, `{"status":{"results":[{"name":"`+name+`","value":"v"}]}}`))
	b.wantDenied(resp, 422, "declared", `"nnn`)
	if len(resp.Result.Message) > 300 || b.log.Len() > 2000 {
		t.Errorf("message of %d bytes, log of %d bytes", len(resp.Result.Message), b.log.Len())
	}
}
