//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/result"
	"github.com/indelible-ci/indelible/test/harness"
)

// The ValidatingAdmissionPolicy alone, without the guard: what it denies, and what it must allow.
// Each row is one write, as a dry run, so that none depends on another. docs/verification.md lists
// which rows cover which validation.
//
// The policy under test is a copy that applies to this test's namespace only. The TaskRuns are
// those of a stage (attack_stage_test.go).
func TestPolicyRules(t *testing.T) {
	f := newPolicyFixture(t)
	const (
		merge = types.MergePatchType
		json6 = types.JSONPatchType
	)
	const marked = `{"status":{"annotations":{"indelible.dev/published":"POD_UID"}}}`
	text := func(value string) string {
		return `{"status":{"results":[{"name":"text","type":"string","value":"` + value + `"}]}}`
	}
	tests := []struct {
		name  string
		who   string
		run   string
		patch types.PatchType
		body  string
		code  int    // 0: allowed
		say   string // what the denial says
	}{
		{name: "allow the own pod to publish a string", who: "fresh-pod", run: "fresh", patch: merge, body: text("v")},
		{name: "allow the own pod to publish an array and an object", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[{"name":"list","type":"array","value":["a","b"]},{"name":"map","type":"object","value":{"a":"1"}}]}}`},
		{name: "allow the own pod to publish 1 MiB", who: "fresh-pod", run: "fresh", patch: merge,
			body: text(strings.Repeat("v", 1<<20))},
		{name: "allow the own pod to publish an array of 80,000 short strings", who: "fresh-pod", run: "fresh",
			patch: merge,
			body: `{"status":{"results":[{"name":"list","type":"array","value":[` + strings.Repeat(`"0123456789",`,
				79999) +
				`"0123456789"]}]}}`},
		{name: "allow the own pod to publish an object of 2,000 keys", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[{"name":"map","type":"object","value":{` + numberedKeys(2000) + `}}]}}`},
		{name: "allow the own pod to publish a step result", who: "fresh-pod", run: "fresh", patch: json6,
			body: `[{"op":"add","path":"/status/steps/0/results","value":[{"name":"digest","type":"string","value":"d"}]}]`},
		{name: "allow the own pod to publish results of a declared step that is not listed yet", who: "fresh-pod",
			run: "fresh", patch: json6,
			body: `[{"op":"add","path":"/status/steps/-","value":{"name":"sign","container":"step-sign","results":[{"name":"sig","type":"string","value":"s"}]}}]`},
		{name: "allow the own pod to write what is stored already", who: "published-pod", run: "published",
			patch: merge,
			body:  text("x")},
		{name: "allow the own pod to change nothing", who: "published-pod", run: "published", patch: merge, body: `{}`},
		{name: "allow the own pod to change nothing of a finished run", who: "finished-pod", run: "finished",
			patch: merge,
			body:  text("x")},
		{name: "allow the own pod to change nothing of a run with 1 MiB", who: "large-pod", run: "large", patch: merge,
			body: `{}`},
		{name: "allow the guard's mark that the own pod has published nothing", who: "fresh-pod", run: "fresh",
			patch: merge,
			body:  marked},
		{name: "allow the mark beside an earlier pod's and other annotations", who: "noted-pod", run: "noted",
			patch: merge,
			body:  marked},
		{name: "allow the own pod to publish where an earlier pod has published nothing", who: "noted-pod",
			run:   "noted",
			patch: merge, body: text("v")},

		{name: "forbid another pod of the namespace", who: "other-pod", run: "fresh", patch: merge, body: text("v"),
			code: 403, say: "not the TaskRun's pod"},
		{name: "forbid another pod to change nothing", who: "other-pod", run: "fresh", patch: merge, body: `{}`,
			code: 403,
			say:  "not the TaskRun's pod"},
		{name: "forbid a token that is bound to no pod", who: "unbound", run: "fresh", patch: merge, body: text("v"),
			code: 403, say: "not bound to a pod"},
		{name: "forbid an impersonated pod without a UID", who: "no-uid", run: "fresh", patch: merge, body: text("v"),
			code: 403, say: "not bound to a pod"},
		{name: "forbid a pod of the same name in another namespace", who: "elsewhere", run: "fresh", patch: merge,
			body: text("v"), code: 403, say: "another namespace"},
		{name: "forbid writing before the pod's name is stored", who: "unstarted-pod", run: "unstarted", patch: merge,
			body: text("v"), code: 403, say: "not stored yet"},
		{name: "forbid an undeclared result", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[{"name":"IMAGE_DIGEST","type":"string","value":"v"}]}}`, code: 403,
			say: "does not declare"},
		{name: "forbid another type than the declared one", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[{"name":"list","type":"string","value":"v"}]}}`, code: 403,
			say: "another type than declared"},
		{name: "forbid a value of another type than it says", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[{"name":"text","type":"string","value":["v"]}]}}`, code: 403,
			say: "not of its type"},
		{name: "forbid a list of numbers", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[{"name":"list","type":"array","value":[1]}]}}`, code: 403,
			say: "not of its type"},
		{name: "forbid an object of 2,001 keys", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[{"name":"map","type":"object","value":{` + numberedKeys(2001) + `}}]}}`,
			code: 403,
			say:  "not of its type"},
		{name: "forbid a nested object", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[{"name":"map","type":"object","value":{"a":{"b":"c"}}}]}}`, code: 403,
			say: "not of its type"},
		{name: "forbid a result twice", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[{"name":"text","type":"string","value":"v"},{"name":"text","type":"string","value":"w"}]}}`, code: 403, say: "given twice"},
		{name: "forbid 10,000 results", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[` + strings.Repeat(`{"name":"text","type":"string","value":"v"},`, 9999) +
				`{"name":"text","type":"string","value":"v"}]}}`, code: 403, say: "too many results or steps"},
		{name: "forbid 10,000 results of a step", who: "fresh-pod", run: "fresh", patch: json6,
			body: `[{"op":"add","path":"/status/steps/0/results","value":[` +
				strings.Repeat(`{"name":"digest","type":"string","value":"v"},`, 9999) +
				`{"name":"digest","type":"string","value":"v"}]}]`, code: 403, say: "too many results or steps"},
		{name: "forbid a stranger 10,000 results", who: "other-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[` + strings.Repeat(`{"name":"text","type":"string","value":"v"},`, 9999) +
				`{"name":"text","type":"string","value":"v"}]}}`, code: 403, say: "not the TaskRun's pod"},
		{name: "forbid 10,000 steps", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"steps":[` + strings.Repeat(`{"name":"build"},`, 9999) + `{"name":"build"}]}}`, code: 403,
			say: "too many results or steps"},
		{name: "forbid more than 1.25 MiB together", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"results":[{"name":"text","type":"string","value":"` + strings.Repeat("v", 1<<20) +
				`"},{"name":"list","type":"array","value":["` + strings.Repeat("v", 1<<18+1) + `"]}]}}`,
			code: 403, say: "too large together"},
		{name: "forbid 1.25 MiB in characters of two bytes", who: "fresh-pod", run: "fresh", patch: merge,
			body: text(strings.Repeat("é", 5<<17+1)), code: 403, say: "too large together"},
		{name: "forbid an undeclared step result", who: "fresh-pod", run: "fresh", patch: json6,
			body: `[{"op":"add","path":"/status/steps/0/results","value":[{"name":"text","type":"string","value":"d"}]}]`,
			code: 403, say: "the step does not declare"},
		{name: "forbid an undeclared step", who: "fresh-pod", run: "fresh", patch: json6,
			body: `[{"op":"add","path":"/status/steps/-","value":{"name":"evil","container":"step-evil","results":[{"name":"digest","type":"string","value":"d"}]}}]`, code: 403, say: "the step does not declare"},
		{name: "forbid a new step with a state", who: "fresh-pod", run: "fresh", patch: json6,
			body: `[{"op":"add","path":"/status/steps/-","value":{"name":"sign","container":"step-sign","terminated":{"exitCode":0,"startedAt":"2026-01-02T03:04:05Z","finishedAt":"2026-01-02T03:04:06Z"}}}]`, code: 403, say: "status.steps"},
		{name: "forbid the publisher's partial steps, which only the guard can complete", who: "fresh-pod",
			run:   "fresh",
			patch: merge,
			body:  `{"status":{"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]}]}}`,
			code:  403, say: "status.steps"},
		{name: "forbid removing the steps", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"steps":null}}`,
			code: 403, say: "status.steps"},
		{name: "forbid a step twice", who: "fresh-pod", run: "fresh", patch: json6,
			body: `[{"op":"copy","from":"/status/steps/0","path":"/status/steps/-"}]`, code: 403, say: "status.steps"},
		{name: "forbid adding to what is stored", who: "published-pod", run: "published", patch: json6,
			body: `[{"op":"add","path":"/status/results/-","value":{"name":"list","type":"array","value":[]}}]`,
			code: 403,
			say:  "may not add any"},
		{name: "forbid a result where only a step's is stored", who: "step-pod", run: "step", patch: merge,
			body: text("v"),
			code: 403, say: "may not add any"},
		{name: "forbid a result after the own pod has published nothing", who: "silent-pod", run: "silent",
			patch: merge,
			body:  text("v"), code: 403, say: "may not add any"},
		{name: "forbid the mark of another pod", who: "fresh-pod", run: "fresh", patch: merge,
			body: `{"status":{"annotations":{"indelible.dev/published":"another"}}}`, code: 403,
			say: "not change other fields"},
		{name: "forbid the mark and another annotation", who: "noted-pod", run: "noted", patch: merge,
			body: `{"status":{"annotations":{"indelible.dev/published":"POD_UID","a":"b"}}}`, code: 403,
			say: "not change other fields"},
		{name: "forbid the mark in the place of another annotation", who: "noted-pod", run: "noted", patch: merge,
			body: `{"status":{"annotations":{"indelible.dev/published":"POD_UID","note":null,"a":"b"}}}`, code: 403,
			say: "not change other fields"},
		{name: "forbid the mark with another annotation removed", who: "noted-pod", run: "noted", patch: merge,
			body: `{"status":{"annotations":{"indelible.dev/published":"POD_UID","note":null}}}`, code: 403,
			say: "not change other fields"},
		{name: "forbid the mark with another annotation changed", who: "noted-pod", run: "noted", patch: merge,
			body: `{"status":{"annotations":{"indelible.dev/published":"POD_UID","note":"b"}}}`, code: 403,
			say: "not change other fields"},
		{name: "forbid the mark on a finished run", who: "finished-pod", run: "finished", patch: merge, body: marked,
			code: 403, say: "not change other fields"},
		{name: "forbid taking the mark back", who: "silent-pod", run: "silent", patch: merge,
			body: `{"status":{"annotations":null}}`, code: 403, say: "not change other fields"},
		{name: "forbid changing a stored result", who: "published-pod", run: "published", patch: merge, body: text("y"),
			code: 403, say: "stored results stay"},
		{name: "forbid removing a stored result", who: "published-pod", run: "published", patch: merge,
			body: `{"status":{"results":[]}}`, code: 403, say: "stored results stay"},
		{name: "forbid removing all results", who: "published-pod", run: "published", patch: merge,
			body: `{"status":{"results":null}}`, code: 403, say: "stored results stay"},
		{name: "forbid changing the type of a stored result", who: "published-pod", run: "published", patch: json6,
			body: `[{"op":"replace","path":"/status/results/0/type","value":"array"}]`, code: 403,
			say: "stored results stay"},
		{name: "forbid adding a result before stored ones", who: "published-pod", run: "published", patch: json6,
			body: `[{"op":"add","path":"/status/results/0","value":{"name":"list","type":"array","value":[]}}]`,
			code: 403,
			say:  "stored results stay"},
		{name: "forbid changing a stored step result", who: "published-pod", run: "published", patch: json6,
			body: `[{"op":"replace","path":"/status/steps/0/results/0/value","value":"e"}]`, code: 403,
			say: "status.steps[].results: stored results stay"},
		{name: "forbid removing a stored step result", who: "published-pod", run: "published", patch: json6,
			body: `[{"op":"remove","path":"/status/steps/0/results"}]`, code: 403,
			say: "status.steps[].results: stored " +
				"results stay"},
		{name: "forbid a result of a run with a completion time", who: "finished-pod", run: "finished", patch: json6,
			body: `[{"op":"add","path":"/status/results/-","value":{"name":"list","type":"array","value":[]}}]`,
			code: 403,
			say:  "finished"},
		{name: "forbid a step result of a failed run", who: "failed-pod", run: "failed", patch: json6,
			body: `[{"op":"add","path":"/status/steps/0/results","value":[{"name":"digest","type":"string","value":"d"}]}]`,
			code: 403, say: "finished"},

		{name: "forbid a person to add a result", who: "person", run: "fresh", patch: merge, body: text("v"), code: 403,
			say: "only the TaskRun's own pod"},
		{name: "forbid a person to add a step result", who: "person", run: "fresh", patch: json6,
			body: `[{"op":"add","path":"/status/steps/0/results","value":[{"name":"digest","type":"string","value":"d"}]}]`,
			code: 403, say: "only the TaskRun's own pod"},
		{name: "forbid a person to change a result", who: "person", run: "published", patch: merge, body: text("y"),
			code: 403, say: "stored results stay"},
		{name: "forbid a person to reset a run as a retry does", who: "person", run: "published", patch: merge,
			body: `{"status":{"results":null,"podName":"","retriesStatus":[{"podName":"published-pod"}]}}`, code: 403,
			say: "stored results stay"},
		{name: "forbid a person to remove a step result", who: "person", run: "published", patch: merge,
			body: `{"status":{"steps":null}}`, code: 403, say: "only the TaskRun's own pod"},
		{name: "allow a person to write a condition", who: "person", run: "published", patch: merge,
			body: `{"status":{"conditions":[{"type":"Succeeded","status":"Unknown","reason":"ByHand","lastTransitionTime":"2026-01-02T03:04:05Z"}]}}`},

		{name: "forbid the controller to change a result", who: "controller", run: "published", patch: merge,
			body: text("y"),
			code: 403, say: "stored results stay"},
		{name: "forbid the controller to lose results", who: "controller", run: "published", patch: merge,
			body: `{"status":{"results":null}}`, code: 403, say: "stored results stay"},
		{name: "forbid the controller to lose 1 MiB", who: "controller", run: "large", patch: merge,
			body: `{"status":{"results":null}}`, code: 403, say: "stored results stay"},
		{name: "forbid the controller to lose results at a retry that keeps the pod", who: "controller",
			run:   "published",
			patch: merge,
			body:  `{"status":{"results":null,"retriesStatus":[{"podName":"published-pod"}]}}`, code: 403,
			say: "stored results stay"},
		{name: "allow the controller to retry", who: "controller", run: "published", patch: merge,
			body: `{"status":{"results":null,"podName":"","retriesStatus":[{"podName":"published-pod"}]}}`},
		{name: "allow the controller to rebuild the steps without their results", who: "controller", run: "published",
			patch: merge,
			body:  `{"status":{"steps":[{"name":"build","container":"step-build","terminated":{"exitCode":0,"startedAt":"2026-01-02T03:04:05Z","finishedAt":"2026-01-02T03:04:06Z"}}]}}`},
		{name: "allow the controller to finish a run with results of its own", who: "controller", run: "fresh",
			patch: merge,
			body:  `{"status":{"completionTime":"2026-01-02T03:05:00Z","results":[{"name":"text","type":"string","value":"v"}]}}`},
		{name: "allow the controller to finish a run with 1 MiB", who: "controller", run: "large", patch: merge,
			body: `{"status":{"completionTime":"2026-01-02T03:05:00Z"}}`},
	}
	for field, value := range otherFields {
		tests = append(tests, tests[0])
		row := &tests[len(tests)-1]
		row.name = "forbid the own pod to change status." + field
		row.body = `{"status":{"` + field + `":` + value + `}}`
		row.code, row.say = 403, "not change other fields"
		if field == "podName" {
			row.say = "" // which of two reasons comes first is up to the API server
		}
	}
	for field, value := range otherStepFields {
		tests = append(tests, tests[0])
		row := &tests[len(tests)-1]
		row.name = "forbid the own pod to change status.steps[]." + field
		row.patch = json6
		row.body = `[{"op":"add","path":"/status/steps/0/` + field + `","value":` + value + `}]`
		row.code, row.say = 403, "status.steps"
	}
	f.testV1beta1(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status := f.write(tt.who, tt.run, tt.patch, tt.body)
			switch {
			case tt.code == 0 && status != nil:
				t.Errorf("denied: %d %s", status.Code, status.Message)
			case tt.code != 0 && status == nil:
				t.Error("allowed")
			case status != nil && (int(status.Code) != tt.code || !strings.Contains(status.Message, f.policy) ||
				!strings.Contains(status.Message, tt.say)):
				t.Errorf("got %d %.600s, want %d by %s with %q", status.Code, status.Message, tt.code, f.policy, tt.say)
			}
		})
	}
	t.Run("forbid the own pod when its namespace opts out", func(t *testing.T) { // last: the label is the namespace's
		f.kubectl("label", "namespace", f.namespace, result.EnabledKey+"-")
		within, cancel := context.WithTimeout(f.ctx, 30*time.Second)
		defer cancel()
		f.must(harness.Eventually(within, "the API server to have heard of it", func() (bool, error) {
			status := f.write("fresh-pod", "fresh", merge, text("v"))
			if status != nil && !strings.Contains(status.Message, "has not opted in") {
				return false, errors.New(status.Message)
			}
			return status != nil, nil
		}))
	})
}

// A write in v1beta1 passes Tekton's conversion, which loses fields that neither the guard nor the
// policy then sees.
func (f *policyFixture) testV1beta1(t *testing.T) {
	for name, who := range map[string]string{"forbid the own pod to write in v1beta1": "fresh-pod",
		"forbid a person to write in v1beta1": "person"} {
		for _, body := range []string{`{}`,
			`{"status":{"taskResults":[{"name":"text","type":"string","value":"v"}]}}`} {
			t.Run(name+" "+body, func(t *testing.T) {
				_, err := f.writers[who].Tekton.TektonV1beta1().TaskRuns(f.namespace).Patch(f.ctx, "fresh",
					types.MergePatchType,
					[]byte(body),
					metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "status")
				if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "in tekton.dev/v1 only") &&
					body == "{}" {
					t.Errorf("got %v, want a denial by %s", err, f.policy)
				}
			})
		}
	}
}

// otherFields are the fields of a TaskRun's status in the schema of Tekton 1.15 beside results and
// steps, each with another value than is stored; otherStepFields are those of a step beside its
// results.
var (
	otherFields = map[string]string{
		"annotations": `{"a":"b"}`, "artifacts": `{"outputs":[{"name":"o"}]}`,
		"completionTime":     `"2026-01-02T03:05:00Z"`,
		"conditions":         `[{"type":"Succeeded","status":"True","lastTransitionTime":"2026-01-02T03:04:05Z"}]`,
		"observedGeneration": `5`, "podName": `"other-pod"`,
		"provenance": `{"refSource":{"uri":"evil"}}`, "retriesStatus": `[{}]`, "sidecars": `[{"name":"s"}]`,
		"spanContext": `{"a":"b"}`,
		"startTime":   `"2020-01-02T03:05:00Z"`, "taskSpec": `{"description":"evil"}`,
	}
	otherStepFields = map[string]string{
		"container": `"c"`, "imageID": `"evil"`, "inputs": `[{"name":"i"}]`, "name": `"n"`, "outputs": `[{"name":"o"}]`,
		"provenance": `{"refSource":{"uri":"evil"}}`, "running": `{"startedAt":"2020-01-02T03:05:00Z"}`,
		"terminated":        `{"exitCode":0,"startedAt":"2026-01-02T03:04:05Z","finishedAt":"2026-01-02T03:04:06Z"}`,
		"terminationReason": `"Completed"`, "waiting": `{"reason":"r"}`,
	}
)

// numberedKeys returns the fields of a JSON object: "key0":"value", "key1":"value" …
func numberedKeys(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"key%d":"value"`, i)
	}
	return strings.Join(keys, ",")
}

// policyFixture is a stage with a copy of the policy.
type policyFixture struct {
	*stage
	policy string
}

func newPolicyFixture(t *testing.T) *policyFixture {
	t.Helper()
	f := &policyFixture{stage: newStage(newPlace(t)), policy: "e2e-results-" + rand.String(8)}
	t.Cleanup(func() { // after all else: what is kept from this namespace is a gap to the self-check
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		awaitSelfChecks(&place{t: t, ctx: ctx, namespace: system})
	})
	f.withoutInstalled()
	const (
		text   = `{"name":"text","type":"string","value":"x"}`
		digest = `{"name":"digest","type":"string","value":"d"}`
	)
	f.makeTaskRun("fresh", ``)
	f.makeTaskRun("unstarted", `"podName":""`)
	f.makeTaskRun("published",
		`"results":[`+text+`],"steps":[{"name":"build","container":"step-build","results":[`+digest+
			`]}]`)
	f.makeTaskRun("finished", `"results":[`+text+`],"completionTime":"2026-01-02T03:05:00Z"`)
	f.makeTaskRun("failed",
		`"conditions":[{"type":"Succeeded","status":"False","lastTransitionTime":"2026-01-02T03:04:05Z"}]`)
	f.makeTaskRun("step", `"steps":[{"name":"build","container":"step-build","results":[`+digest+`]}]`)
	f.makeTaskRun("noted", `"annotations":{"note":"a","indelible.dev/published":"an-earlier-pod"}`)
	f.makeTaskRun("silent", ``)
	f.patchAsController("silent", `{"annotations":{"indelible.dev/published":"`+string(f.pod("silent-pod").UID)+`"}}`)
	f.makeTaskRun("large", `"results":[{"name":"text","type":"string","value":"`+strings.Repeat("v", 1<<20)+`"}]`)
	f.writers["other-pod"] = f.podWriter(f.sleeper("other-pod"))
	f.writers["unbound"] = f.podWriter("")
	f.impersonate("no-uid", "system:serviceaccount:"+f.namespace+":default",
		map[string][]string{"authentication.kubernetes.io/pod-name": {"fresh-pod"},
			"authentication.kubernetes.io/pod-uid": {""}})
	elsewhere := newPlaceWith(t, nil)
	f.writers["elsewhere"] = elsewhere.podWriter(elsewhere.sleeper("fresh-pod"))
	f.install()
	return f
}

// withoutInstalled exempts this namespace from the installed guard's webhooks and policy until the
// test ends: otherwise they could deny first, and hide the copy's denial.
func (f *policyFixture) withoutInstalled() {
	f.t.Helper()
	not := metav1.LabelSelectorRequirement{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn,
		Values: []string{f.namespace}}
	elsewhere := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{not}}
	admission := cluster.Kube.AdmissionregistrationV1()
	guard, err := admission.MutatingWebhookConfigurations().Get(f.ctx, "indelible-guard", metav1.GetOptions{})
	if err == nil {
		for i, webhook := range guard.Webhooks {
			narrowed := webhook.NamespaceSelector.DeepCopy() // other namespaces stay with the webhook that is theirs
			narrowed.MatchExpressions = append(narrowed.MatchExpressions, not)
			f.replace(fmt.Sprintf("/webhooks/%d/namespaceSelector", i), narrowed, *webhook.NamespaceSelector,
				func(ctx context.Context, patch []byte) error {
					_, err := admission.MutatingWebhookConfigurations().Patch(ctx, guard.Name,
						types.JSONPatchType, patch,
						metav1.PatchOptions{})
					return err
				})
		}
	} else if !apierrors.IsNotFound(err) {
		f.t.Fatal(err)
	}
	binding, err := admission.ValidatingAdmissionPolicyBindings().Get(f.ctx, "indelible-results", metav1.GetOptions{})
	if err == nil {
		before := admissionregistrationv1.MatchResources{}
		if binding.Spec.MatchResources != nil {
			before = *binding.Spec.MatchResources
		}
		f.replace("/spec/matchResources", admissionregistrationv1.MatchResources{NamespaceSelector: &elsewhere}, before,
			func(ctx context.Context, patch []byte) error {
				_, err := admission.ValidatingAdmissionPolicyBindings().Patch(ctx, binding.Name,
					types.JSONPatchType, patch,
					metav1.PatchOptions{})
				return err
			})
	} else if !apierrors.IsNotFound(err) {
		f.t.Fatal(err)
	}
}

// replace sets a field by a JSON patch, and sets it back when the test ends.
func (f *policyFixture) replace(path string, value, before any, apply func(context.Context, []byte) error) {
	f.t.Helper()
	patch := func(value any) []byte {
		body, err := json.Marshal([]map[string]any{{"op": "add", "path": path, "value": value}})
		f.must(err)
		return body
	}
	f.must(apply(f.ctx, patch(value)))
	back := patch(before)
	f.t.Cleanup(func() {
		if err := apply(context.Background(), back); err != nil {
			f.t.Errorf("setting %s back: %v", path, err)
		}
	})
}

// install creates the copy of the policy, and waits until the API server enforces it.
func (f *policyFixture) install() {
	f.t.Helper()
	policy, binding := &admissionregistrationv1.ValidatingAdmissionPolicy{},
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	for file, object := range map[string]any{"10-policy.yaml": policy, "20-binding.yaml": binding} {
		text, err := os.ReadFile("../../config/policy/" + file)
		f.must(err)
		f.must(yaml.UnmarshalStrict(text, object))
	}
	policy.Name, binding.Name, binding.Spec.PolicyName = f.policy, f.policy, f.policy
	binding.Spec.MatchResources = &admissionregistrationv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
		MatchLabels: map[string]string{corev1.LabelMetadataName: f.namespace},
	}}
	admission := cluster.Kube.AdmissionregistrationV1()
	f.t.Cleanup(func() {
		for _, err := range []error{
			admission.ValidatingAdmissionPolicyBindings().Delete(context.Background(), f.policy,
				metav1.DeleteOptions{}),
			admission.ValidatingAdmissionPolicies().Delete(context.Background(), f.policy, metav1.DeleteOptions{}),
		} {
			if err != nil && !apierrors.IsNotFound(err) {
				f.t.Errorf("removing the policy's copy: %v", err)
			}
		}
	})
	_, err := admission.ValidatingAdmissionPolicies().Create(f.ctx, policy, metav1.CreateOptions{})
	f.must(err)
	_, err = admission.ValidatingAdmissionPolicyBindings().Create(f.ctx, binding, metav1.CreateOptions{})
	f.must(err)
	err = wait.PollUntilContextCancel(f.ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		status := f.write("unbound", "fresh", types.MergePatchType, `{}`)
		return status != nil && strings.Contains(status.Message, f.policy), nil
	})
	if err != nil {
		f.t.Fatalf("waiting for the policy to be enforced: %v", err)
	}
	live, err := admission.ValidatingAdmissionPolicies().Get(f.ctx, f.policy, metav1.GetOptions{})
	f.must(err)
	if check := live.Status.TypeChecking; check != nil && len(check.ExpressionWarnings) > 0 {
		f.t.Errorf("the API server's type check warns: %v", check.ExpressionWarnings)
	}
}

// write tries a write as a dry run and returns the denial, nil if it is allowed.
func (f *policyFixture) write(who, run string, patch types.PatchType, body string) *metav1.Status {
	f.t.Helper()
	if strings.Contains(body, "POD_UID") {
		body = strings.ReplaceAll(body, "POD_UID", string(f.pod(who).UID))
	}
	_, err := f.writers[who].Tekton.TektonV1().TaskRuns(f.namespace).Patch(f.ctx, run, patch, []byte(body),
		metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "status")
	if err == nil {
		return nil
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		s := status.Status()
		return &s
	}
	return &metav1.Status{Code: http.StatusInternalServerError, Message: fmt.Sprint(err)}
}
