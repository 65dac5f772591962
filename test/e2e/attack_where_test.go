//go:build e2e

package e2e

import "strings"

// keptStatus is for v1beta1, where not even who wrote which field survives the conversion.
var keptStatus = outcome{why: "the API server keeps the status in a write to the TaskRun"}

// attacksElsewhere are on objects other than the TaskRun's status.
var attacksElsewhere = []attack{
	{name: "forbid the own pod to write the TaskRun itself", who: "published-pod", at: "taskruns/published",
		change: forged,
		guard:  byServer(403, "cannot"), policy: byServer(403, "cannot")},
	{name: "forbid the own pod to write the status of a PipelineRun", who: "published-pod",
		at:     "pipelineruns/pipeline/status",
		change: change(add("/status", `{"results":[{"name":"x","value":"y"}]}`)),
		in:     []encoding{mergePatch, jsonPatch, serverSideApply, put},
		guard:  byServer(403, "cannot"), policy: byServer(403, "cannot")},
	{name: "forbid the own pod to write the status of a CustomRun", who: "published-pod",
		at:     "customruns/custom/status",
		api:    tektonV1beta1,
		change: change(add("/status", `{"results":[{"name":"x","value":"y"}]}`)),
		in:     []encoding{mergePatch, jsonPatch, serverSideApply, put},
		guard:  byServer(403, "cannot"), policy: byServer(403, "cannot")},
	{name: "forbid the own pod to write another TaskRun", who: "published-pod", run: "fresh", change: firstForged,
		guard: byGuard(403, "is not the TaskRun's pod"), policy: byPolicy("not the TaskRun's pod")},
	{name: "forbid the own pod to publish in a namespace that has not opted in", who: "published-pod", run: "published",
		outside: true, change: forged,
		in:    []encoding{mergePatch, jsonPatch, serverSideApply, put},
		guard: outcome{by: elsewhere, code: 403, text: "has not opted in"}, policy: byPolicy("has not opted in")},
	{name: "forbid a person to change results in a namespace that has not opted in", who: "person", run: "published",
		outside: true,
		change:  change(add("/status/results/0/value", `"forged"`)),
		in:      []encoding{mergePatch, jsonPatch, serverSideApply, put},
		guard:   outcome{by: elsewhere, code: 403, text: "only the TaskRun's own pod"},
		policy:  byPolicy("stored results stay")},
	{name: "forbid a person to change results by the TaskRun itself", who: "a person with edit rights",
		at:     "taskruns/published",
		change: change(add("/status/results/0/value", `"forged"`)),
		in:     []encoding{mergePatch, jsonPatch, serverSideApply, put},
		guard:  noEffect("the API server keeps the status in a write to the TaskRun"), policy: noEffect("as before")},
	{name: "forbid a person to change results by the TaskRun itself in v1beta1", who: "a person with edit rights",
		at: "taskruns/run", api: tektonV1beta1,
		// run, as v1beta1 has no spec.managedBy,
		raw:   `{"status":{"taskResults":[{"name":"text","type":"string","value":"forged"}]}}`,
		guard: keptStatus, policy: keptStatus},
}

// attacksOnARun: the main ones once more, on a TaskRun that Tekton runs. It has published text:
// "true", and late is open.
var attacksOnARun = []attack{
	{name: "forbid another pod to add a result to a running TaskRun", who: "another pod", run: "run", change: forged,
		guard: byGuard(403, "is not the TaskRun's pod"), policy: byPolicy("not the TaskRun's pod")},
	{name: "forbid the service account without a pod to add a result to a running TaskRun",
		who: "the service account without a pod", run: "run", change: forged,
		guard: byGuard(403, "not bound to a pod"), policy: byPolicy("not bound to a pod")},
	{name: "forbid a person to add a result to a running TaskRun", who: "a person with edit rights", run: "run",
		change: forged,
		guard:  byGuard(403, "only the TaskRun's own pod"), policy: byPolicy("only the TaskRun's own pod")},
	{name: "forbid a running TaskRun's pod to change its result", who: "run-pod", run: "run",
		change: change(add("/status/results/0/value", `"false"`)),
		guard:  byGuard(422, "cannot be changed"), policy: byPolicy("stored results stay")},
	{name: "forbid a running TaskRun's pod to remove its result", who: "run-pod", run: "run",
		change: change(remove("/status/results")),
		in:     inV1, guard: leftOut, policy: byPolicy("stored results stay")},
	{name: "forbid a running TaskRun's pod a result nobody declared", who: "run-pod", run: "run",
		change: change(add("/status/results/-", `{"name":"IMAGE_DIGEST","type":"string","value":"sha256:0"}`)),
		guard:  byGuard(422, "IMAGE_DIGEST"), policy: byPolicy("does not declare")},
	{name: "forbid a running TaskRun's pod to declare itself succeeded", who: "run-pod", run: "run",
		change: change(add("/status/conditions",
			`[{"type":"Succeeded","status":"True","reason":"Succeeded","lastTransitionTime":"2026-01-01T00:00:00Z"}]`)),
		guard: byGuard(422, "conditions"), policy: byPolicy("not change other fields")},
	{name: "forbid a running TaskRun's pod a result over the limit", who: "run-pod", run: "run",
		change: change(add("/status/results/-",
			`{"name":"late","type":"string","value":"`+strings.Repeat("v", 5<<18)+`"}`)),
		guard: byGuard(413, "1310720 bytes"), policy: byPolicy("too large together")},
}
