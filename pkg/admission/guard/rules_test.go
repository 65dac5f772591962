package guard

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// The tests of this file are of rules that no other test missed when `make mutate-guard` took them
// away.

// withText returns running with a part of its text replaced.
func withText(t *testing.T, old, new string) string {
	t.Helper()
	if strings.Count(running, old) != 1 {
		t.Fatalf("running has %q %d times", old, strings.Count(running, old))
	}
	return strings.Replace(running, old, new, 1)
}

func TestPodWritesAtTheEdgesOfTheRules(t *testing.T) {
	const conditions = `"conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running"}],`
	const digest = `{"results":[{"name":"digest","type":"string","value":"d"}],"steps":[{"name":"build","container":"step-build","results":[{"name":"digest","type":"string","value":"d"}]}]}`
	const extra = `{"results":[{"name":"text","type":"string","value":"x","signed":true}]}`
	text := `{"results":[{"name":"text","value":"v"}]}`
	unnamed := withStatus(t,
		`{"taskSpec":{"steps":[{"image":"i"},{"image":"i","results":[{"name":"log","type":"string"}]}]}}`)
	tests := []struct {
		name, stored, patch string
		code                int32 // 0: allowed
		rule, text          string
	}{
		{name: "allow a result that says its right type", stored: running,
			patch: `{"results":[{"name":"text","type":"string","value":"v"}]}`},
		{name: "allow a result while the completion time is null",
			stored: withText(t, `"podName"`, `"completionTime":null,"podName"`), patch: text},
		{name: "allow a result while there are no conditions", stored: withText(t, conditions, ""), patch: text},
		{name: "allow a result while no condition says whether the run succeeded",
			stored: withStatus(t, `{"conditions":[{"type":"Ready","status":"True"}]}`), patch: text},
		{name: "allow a stored result with a field that Tekton does not know, once more", stored: withStatus(t, extra),
			patch: extra},
		{name: "allow a result of a step without a name, under the name Tekton gives it", stored: unnamed,
			patch: `{"steps":[{"name":"unnamed-1","results":[{"name":"log","value":"v"}]}]}`},
		{name: "forbid a result of another step without a name", stored: unnamed,
			patch: `{"steps":[{"name":"unnamed-0","results":[{"name":"log","value":"v"}]}]}`, code: 422,
			rule: "declared",
			text: `"log"`},
		{name: "forbid a result while the conditions cannot be read", stored: withStatus(t, `{"conditions":5}`),
			patch: text,
			code:  403, rule: "frozen", text: "finished"},
		{name: "forbid a result while the Task cannot be read", stored: withStatus(t, `{"taskSpec":[]}`), patch: text,
			code: 422, rule: "declared", text: "status.taskSpec"},
		{name: "forbid a result while the Task's results cannot be read",
			stored: withStatus(t, `{"taskSpec":{"results":5}}`),
			patch:  text, code: 422, rule: "declared", text: "status.taskSpec"},
		{name: "forbid a result while the Task is null",
			stored: `{"metadata":{"namespace":"team","name":"build","uid":"run-uid"},"status":{"podName":"build-pod","taskSpec":null}}`, patch: text, code: 422, rule: "declared", text: `"text", which the Task does not declare`},
		{name: "forbid changing a field that Tekton does not know of a stored result", stored: withStatus(t, extra),
			patch: `{"results":[{"name":"text","type":"string","value":"x","signed":false}]}`, code: 422,
			rule: "fields",
			text: `"status.results[].signed"`},
		{name: "forbid fields of a step result that Tekton does not know", stored: running,
			patch: `{"steps":[{"name":"sign","results":[{"name":"sig","value":"s","signed":true}]}]}`, code: 422,
			rule: "fields",
			text: `"status.steps[].results[].signed"`},
		{name: "forbid changing a stored result that the guard computed", stored: withStatus(t, digest),
			patch: `{"results":[{"name":"digest","value":"e"}]}`, code: 422, rule: "once",
			text: `"digest" is stored and cannot be changed`},
		{name: "forbid a step result that is no text", stored: running,
			patch: `{"steps":[{"name":"sign","results":[{"name":"sig","value":5}]}]}`, code: 422, rule: "type",
			text: "must be a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			resp, _ := b.guard(ownPod, tt.stored, mergePatch(t, tt.stored, `{"status":`+tt.patch+`}`))
			if tt.code != 0 {
				b.wantDenied(resp, tt.code, tt.rule, tt.text)
			} else if !resp.Allowed {
				t.Errorf("denied: %s", resp.Result.Message)
			}
		})
	}
}

// Tekton finds no declared type for a step without a name, so the text decides, also of what is
// declared a string.
func TestStepsWithoutANameHaveNoTypes(t *testing.T) {
	stored := withStatus(t,
		`{"steps":null,"taskSpec":{"steps":[{"image":"i","results":[{"name":"log","type":"string"}]}]}}`)
	_, got := newBench(t).guard(ownPod, stored,
		mergePatch(t, stored,
			`{"status":{"steps":[{"name":"unnamed-0","results":[{"name":"log","value":"[\"a\"]"}]}]}}`))
	wantSame(t, got, mergePatch(t, stored,
		`{"status":{"steps":[{"name":"unnamed-0","container":"step-unnamed-0","results":[{"name":"log","type":"array","value":["a"]}]}]}}`))
}

// Which Task results take their value from steps, where not all values are references to step
// results.
func TestTaskResultsWithOtherValues(t *testing.T) {
	const step = `"steps":[{"name":"build","results":[{"name":"digest","type":"string"},{"name":"files","type":"array"},{"name":"note","type":"string"}]}]`
	const patch = `{"status":{"steps":[{"name":"build","results":[{"name":"digest","value":"d"},{"name":"files","value":"[]"},{"name":"note","value":"n"}]}]}}`
	for _, tt := range []struct{ name, results, want string }{
		{"a list as a value is no reference, and the others feed",
			`{"name":"fixed","type":"array","value":["a"]},{"name":"r","type":"string","value":"$(steps.build.results.digest)"}`,
			`[{"name":"r","type":"string","value":"d"}]`},
		{"text as a value makes that no step feeds anything",
			`{"name":"r","type":"string","value":"$(steps.build.results.digest)"},{"name":"fixed","type":"string","value":"text"}`, `null`},
		{"a result that two step results feed is stored once",
			`{"name":"r","type":"string","value":"$(steps.build.results.digest)"},{"name":"r","type":"string","value":"$(steps.build.results.note)"}`,
			`[{"name":"r","type":"string","value":"d"}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stored := withStatus(t, `{"taskSpec":{"results":[`+tt.results+`],`+step+`}}`)
			_, got := newBench(t).guard(ownPod, stored, mergePatch(t, stored, patch))
			status, _ := decode(t, got)["status"].(map[string]any)
			want := decode(t, `{"results":`+tt.want+`}`)["results"]
			if diff := cmp.Diff(want, status["results"]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Anything but the JSON of a TaskRun is denied, whoever sends it.
func TestObjectsThatCannotBeRead(t *testing.T) {
	for _, tt := range []struct{ name, stored, incoming, text string }{
		{"forbid a stored object that cannot be read", `[]`, running, "the stored object"},
		{"forbid text after the object", running, running + "x", "after the value"},
		{"forbid a field without a value", running, `{"spec":-}`, "the new object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, user := range []authenticationv1.UserInfo{ownPod, person, trustedController} {
				b := newBench(t)
				resp := NewGuard(b.options).Handle(context.Background(), request(user, tt.stored, tt.incoming))
				b.wantDenied(resp, 422, "request", tt.text)
			}
		})
	}
	for _, status := range []string{`null`, `{"results":null,"steps":null}`} {
		object := `{"metadata":{"name":"build","namespace":"team"},"status":` + status + `}`
		if resp, _ := newBench(t).guard(person, object, object); !resp.Allowed {
			t.Errorf("a status of %s is denied: %s", status, resp.Result.Message)
		}
	}
}

func TestATextIsNoNumber(t *testing.T) {
	if got := (fields{"podName": []byte(`123`)}).text("podName"); got != "" {
		t.Errorf("the text of a number is %q", got)
	}
}

func TestOthersWritesAtTheEdgesOfTheRules(t *testing.T) {
	stored := withStatus(t,
		`{"results":[{"name":"text","type":"string","value":"x"}],"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]},{"name":"sign"}]}`)
	for _, tt := range []struct {
		name, patch string
		allow       bool
	}{
		{
			name:  "forbid a person to rename a result",
			patch: `{"results":[{"name":"list","type":"string","value":"x"}]}`,
		},
		{name: "forbid a person to put a second step of the name before the one with results",
			patch: `{"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"e"}]},{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]}]}`},
		{name: "allow a person to write two steps of a name without results",
			patch: `{"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]},{"name":"sign"},{"name":"sign"}]}`, allow: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			resp, _ := b.guard(person, stored, mergePatch(t, stored, `{"status":`+tt.patch+`}`))
			if !tt.allow {
				b.wantDenied(resp, 403, "others", "status.")
			} else if !resp.Allowed {
				t.Errorf("denied: %s", resp.Result.Message)
			}
		})
	}
}

func TestWritersThatOnlyLookLikePods(t *testing.T) {
	noNamespace := podUser("", "build-pod", "pod-uid")
	inGroup := authenticationv1.UserInfo{Username: "team:default", Groups: []string{serviceAccountsGroup},
		Extra: ownPod.Extra}
	for name, user := range map[string]authenticationv1.UserInfo{
		"forbid a service account without a namespace":                                             noNamespace,
		"forbid a member of the service accounts' group whose user name is an account's last part": inGroup,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			resp, _ := b.guard(user, running, mergePatch(t, running, publish))
			b.wantDenied(resp, 403, "identity", "not bound to a pod")
		})
	}
}

func TestAPodOfAnotherNamespaceIsNotTheRuns(t *testing.T) {
	stored, err := decodeTaskRun([]byte(running))
	if err != nil {
		t.Fatal(err)
	}
	pod := taskRunPod("build-pod", "pod-uid", "run-uid")
	w := requesterOf(ownPod, nil)
	if d := checkOwner(w, stored, pod); d != nil {
		t.Fatalf("the own pod: %s", d.message)
	}
	pod.Namespace = "rivals"
	if d := checkOwner(w, stored, pod); d == nil || !strings.Contains(d.message, "no longer exists") {
		t.Errorf("got %+v", d)
	}
}

func TestRequestsAtTheEdgesOfTheScope(t *testing.T) {
	stored := withStatus(t, storedResults)
	loses := mergePatch(t, stored, `{"status":{"results":null}}`)
	t.Run("allow the own pod a request that says it was made in v1", func(t *testing.T) {
		req := request(ownPod, running, mergePatch(t, running, publish))
		req.RequestResource = &metav1.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "taskruns"}
		if resp, _ := newBench(t).complete(NewGuard(newBench(t).options), req); !resp.Allowed {
			t.Errorf("denied: %s", resp.Result.Message)
		}
	})
	for name, change := range map[string]func(*admissionv1.AdmissionRequest){
		"leave alone the controller's create": func(
			r *admissionv1.AdmissionRequest) {
			r.Operation = admissionv1.Create
		},
		"leave alone what the controller does in v1beta1": func(
			r *admissionv1.AdmissionRequest) {
			r.Resource.Version = "v1beta1"
		},
		"leave alone what the controller does to others": func(
			r *admissionv1.AdmissionRequest) {
			r.Resource.Resource = "pipelineruns"
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(trustedController, stored, loses)
			change(&req.AdmissionRequest)
			b := newBench(t)
			if resp, _ := b.complete(NewGuard(b.options), req); !resp.Allowed || len(resp.Patch) > 0 {
				t.Errorf("guard: %+v", resp)
			}
			req.OldObject.Raw = []byte(withStatus(t,
				`{"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]}]}`))
			if resp, _ := b.complete(NewCarryOver(b.options), req); !resp.Allowed || len(resp.Patch) > 0 {
				t.Errorf("carry-over: %+v", resp)
			}
		})
	}
}

func TestSizesAtTheEdgesOfTheRules(t *testing.T) {
	limits := result.Limits{Result: 100, TaskRun: 60, Object: 10000}
	for _, tt := range []struct{ name, stored, patch, text string }{
		{"name the largest result though it does not come first", running,
			`{"results":[{"name":"list","value":"[]"},{"name":"text","value":"` + strings.Repeat("v", 60) + `"}]}`,
			`results are 62 bytes together, the limit is 60 bytes (largest added: result "text", 60 bytes)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t).limits(limits)
			resp, _ := b.guard(ownPod, tt.stored, mergePatch(t, tt.stored, `{"status":`+tt.patch+`}`))
			b.wantDenied(resp, 413, "size", tt.text)
		})
	}
	t.Run("forbid any write of a pod with more steps than the policy looks at", func(t *testing.T) {
		list := strings.Repeat(`{"name":"s"},`, 199) + `{"name":"build","container":"step-build"}`
		for steps, denied := range map[string]bool{list: false, `{"name":"s"},` + list: true} {
			stored := withStatus(t, `{"steps":[`+steps+`]}`)
			b := newBench(t)
			resp, _ := b.guard(ownPod, stored, mergePatch(t, stored, publish[:len(publish)-2]+`,"steps":[]}}`))
			if denied {
				b.wantDenied(resp, 413, "size", "the TaskRun has 201 steps, the limit is 200")
			} else if !resp.Allowed {
				t.Errorf("200 steps are denied: %s", resp.Result.Message)
			}
		}
	})
}

// Sizes of escapes, counted by hand.
func TestValueSizes(t *testing.T) {
	for raw, want := range map[string]int64{
		`"\ud83d\ude00"`: 4, `"\ud83d\u00e9"`: 3 + 2, `"\ud83d\ue000"`: 3 + 3, `"\u1234\udc00"`: 3 + 3,
		`"\udc00\udc00"`: 3 +
			3,
		`"\ud83dxudc00x"`: 3 + 7, `"\ud83d\ndc00xx"`: 3 + 1 + 6, `"\u0041\u00e9\uffff\n"`: 1 + 2 + 3 + 1, `["a"]`: 5,
	} {
		if got := valueSize([]byte(raw)); got != want {
			t.Errorf("%s: got %d bytes, want %d", raw, got, want)
		}
	}
}

func TestControllerWritesAtTheEdgesOfTheRules(t *testing.T) {
	const one = `{"results":[{"name":"text","type":"string","value":"x"}]}`
	retriesNull := strings.Replace(withStatus(t, one), `"podName"`, `"retriesStatus":null,"podName"`, 1)
	for _, tt := range []struct {
		name, stored, incoming, want string
		log                          bool
	}{
		{"restores a field that Tekton does not know",
			withStatus(t, `{"results":[{"name":"text","type":"string","value":"x","signed":true}]}`),
			`{"results":[{"name":"text","type":"string","value":"x","signed":false}]}`,
			`{"results":[{"name":"text","type":"string","value":"x","signed":true}]}`, true},
		{"restores that a result has no value", withStatus(t, `{"results":[{"name":"text","type":"string"}]}`),
			`{"results":[{"name":"text","type":"string","value":"v"}]}`,
			`{"results":[{"name":"text","type":"string"}]}`, true},
		{"leaves alone results given twice of a run that had none", running,
			`{"results":[{"name":"a","value":"1"},{"name":"a","value":"2"}]}`, `{}`, false},
		{"believes the last of two that it adds, as Tekton does", withStatus(t, one),
			`{"results":[{"name":"text","type":"string","value":"x"},{"name":"a","value":"1"},{"name":"a","value":"2"}]}`,
			`{"results":[{"name":"text","type":"string","value":"x"},{"name":"a","value":"2"}]}`, false},
		{"restores if the stored attempts are no list", withStatus(t, `{"retriesStatus":5,`+one[1:]),
			`{"results":null,"podName":"","retriesStatus":[{}]}`, one, true},
		{"lets results go at the first retry of a run whose attempts are null", retriesNull,
			`{"results":null,"podName":"","retriesStatus":[{}]}`,
			`{"retriesStatus":[{"results":[{"name":"text","type":"string","value":"x"}]}]}`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			incoming := mergePatch(t, tt.stored, `{"status":`+tt.incoming+`}`)
			resp, got := b.guard(trustedController, tt.stored, incoming)
			if !resp.Allowed {
				t.Fatalf("denied: %s", resp.Result.Message)
			}
			wantSame(t, got, mergePatch(t, incoming, `{"status":`+tt.want+`}`))
			if said := strings.Contains(b.log.String(), "Put stored results back"); said != tt.log {
				t.Errorf("the log says so: %v, want %v", said, tt.log)
			}
		})
	}
}

func TestCarryOverAtTheEdgesOfTheRules(t *testing.T) {
	two := withStatus(t,
		`{"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"},{"name":"files","type":"array","value":[]}]}]}`)
	failed := withStatus(t, `{"conditions":[{"type":"Succeeded","status":"False"}],"steps":[{"name":"sign","terminationReason":"ResultsNotPublished",
	  "terminated":{"message":"[{\"key\":\"indelible.dev/publish\",\"value\":\"why\"},{\"key\":5}]"}}]}`)
	t.Run("leaves an object without a status alone", func(t *testing.T) {
		b := newBench(t)
		incoming := mergePatch(t, two, `{"status":null}`)
		_, got := b.carryOver(trustedController, two, incoming)
		wantSame(t, got, incoming)
	})
	t.Run("leaves the order of step results alone", func(t *testing.T) {
		b := newBench(t)
		incoming := mergePatch(t, two,
			`{"status":{"steps":[{"name":"build","results":[{"name":"files","type":"array","value":[]},{"name":"digest","type":"string","value":"d"}]}]}}`)
		_, got := b.carryOver(trustedController, two, incoming)
		wantSame(t, got, incoming)
	})
	t.Run("logs what it cannot read", func(t *testing.T) {
		b := newBench(t)
		b.carryOver(trustedController, running, `[]`)
		if !strings.Contains(b.log.String(), "Carry-over could not read a request") {
			t.Errorf("log: %s", b.log.String())
		}
	})
	t.Run("explains without anybody to send events to, and counts explanations only", func(t *testing.T) {
		b := newBench(t)
		b.options = b.options.withDefaults()
		b.options.Events = nil
		b.carryOver(trustedController, running, running)
		if n := counted(t, b.options.Metrics.explanations); n != 0 {
			t.Errorf("counted %v explanations of a run that goes on", n)
		}
		if resp, _ := b.carryOver(trustedController, running, failed); len(resp.Patch) == 0 {
			t.Error("the failure is not explained")
		}
		if n := counted(t, b.options.Metrics.explanations); n != 1 {
			t.Errorf("counted %v explanations, want 1", n)
		}
	})
	t.Run("explains a run whose stored conditions do not say whether it succeeded, and takes no half of a message",
		func(t *testing.T) {
			b := newBench(t)
			b.carryOver(trustedController, withStatus(t, `{"conditions":[{"type":"Ready","status":"True"}]}`), failed)
			if len(b.events) != 1 ||
				!strings.HasSuffix(b.events[0], "results not published: the step does not say why") {
				t.Errorf("events %q", b.events)
			}
		})
	t.Run("cuts what a pod says between characters", func(t *testing.T) {
		if got := printable("a" + strings.Repeat("é", maxExplanation)); strings.ContainsRune(got, '\uFFFD') ||
			len(got) != maxExplanation-1 {
			t.Errorf("%d bytes, ending with %q", len(got), got[len(got)-4:])
		}
	})
}

func TestOnlyDryRunsLeaveNoTraces(t *testing.T) {
	b := newBench(t)
	b.options = b.options.withDefaults()
	no := false
	req := request(ownPod, running, mergePatch(t, running, publish))
	req.DryRun = &no
	b.complete(NewGuard(b.options), req)
	stored := withStatus(t, storedResults)
	req = request(trustedController, stored, mergePatch(t, stored, `{"status":{"results":null}}`))
	req.DryRun = &no
	b.complete(NewGuard(b.options), req)
	if n := counted(t, b.options.Metrics.restored); n != 2 {
		t.Errorf("counted %v results put back, want 2", n)
	}
}
