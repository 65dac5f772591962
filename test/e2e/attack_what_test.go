//go:build e2e

package e2e

import (
	"maps"
	"slices"
)

// leftOut is the outcome of a write that leaves out stored fields, as a publisher's does.
var leftOut = outcome{why: "what a write leaves out stays as it is stored"}

// inV1 are the encodings of writes that the guard allows; it denies all writes in v1beta1.
var inV1 = []encoding{mergePatch, jsonPatch, serverSideApply, put}

// attacksOnResults are by the own pod, on results it has published and on results it may not
// publish.
var attacksOnResults = []attack{
	{name: "forbid the own pod to change a stored value", who: "published-pod", run: "published",
		change: change(add("/status/results/0/value", `"forged"`)),
		guard:  byGuard(422, "cannot be changed"), policy: byPolicy("stored results stay")},
	{name: "forbid the own pod to change a stored element", who: "published-pod", run: "published",
		change: change(add("/status/results/1/value/0", `"forged"`)),
		guard:  byGuard(422, "cannot be changed"), policy: byPolicy("stored results stay")},
	{name: "forbid the own pod to remove a stored result", who: "published-pod", run: "published",
		change: change(remove("/status/results/1")),
		in:     inV1, guard: leftOut, policy: byPolicy("stored results stay")},
	{name: "forbid the own pod to remove all results", who: "published-pod", run: "published",
		change: change(remove("/status/results")),
		in:     inV1, guard: leftOut, policy: byPolicy("stored results stay")},
	{name: "forbid the own pod to reorder stored results", who: "published-pod", run: "published",
		change: change(`{"op":"move","from":"/status/results/0","path":"/status/results/1"}`),
		in:     inV1, guard: outcome{why: "the guard keeps their order"}, policy: byPolicy("stored results stay")},
	{name: "forbid the own pod to put a result before stored ones", who: "published-pod", run: "published",
		change: change(add("/status/results/0", `{"name":"late","type":"string","value":"v"}`)),
		guard:  byGuard(422, "may not add any"), policy: byPolicy("stored results stay")},
	{name: "forbid the own pod to add a result after it has published", who: "published-pod", run: "published",
		change: forged,
		guard:  byGuard(422, "may not add any"), policy: byPolicy("may not add any")},
	{name: "forbid the own pod to add a result after it has published that its steps wrote none", who: "silent-pod",
		run: "silent", change: firstForged,
		guard: byGuard(422, "may not add any"), policy: byPolicy("may not add any")},
	{name: "forbid the own pod to take back that it has published", who: "silent-pod", run: "silent",
		change: change(remove("/status/annotations")),
		in:     []encoding{mergePatch, jsonPatch, put}, guard: leftOut, policy: byPolicy("not change other fields")},
	{name: "forbid a TaskRun's pod that has no publisher", who: "plain-pod", run: "plain", change: firstForged,
		guard: byGuard(403, "has no publisher"), policy: passes("a policy cannot look up a Pod")},
	{name: "forbid the own pod to change the type of a stored result", who: "published-pod", run: "published",
		change: change(add("/status/results/0/type", `"array"`)),
		guard:  byGuard(422, "cannot be changed"), policy: byPolicy("stored results stay")},
	{name: "forbid the own pod to change a stored result of a step", who: "published-pod", run: "published",
		change: change(add("/status/steps/0/results/0/value", `"forged"`)),
		guard:  byGuard(422, "cannot be changed"), policy: byPolicy("status.steps[].results: stored results stay")},
	{name: "forbid the own pod to remove the results of a step", who: "published-pod", run: "published",
		change: change(remove("/status/steps/0/results")),
		in:     inV1, guard: leftOut, policy: byPolicy("status.steps[].results: stored results stay")},
	{name: "forbid the own pod to remove the steps", who: "published-pod", run: "published",
		change: change(remove("/status/steps")),
		in:     inV1, guard: leftOut, policy: byPolicy("status.steps")},
	{name: "forbid the own pod to remove the status", who: "published-pod", run: "published",
		change: change(remove("/status")),
		in:     []encoding{mergePatch, jsonPatch, put}, // server-side apply removes what it has applied before only
		guard:  leftOut, policy: byPolicy("stored results stay")},

	{name: "forbid a result that the Task does not declare", who: "published-pod", run: "published",
		change: change(add("/status/results/-", `{"name":"IMAGE_DIGEST","type":"string","value":"sha256:0"}`)),
		guard:  byGuard(422, `"IMAGE_DIGEST", which the Task does not declare`), policy: byPolicy("does not declare")},
	{name: "forbid a result that its step does not declare", who: "published-pod", run: "published",
		change: change(add("/status/steps/0/results/-", `{"name":"IMAGE_DIGEST","type":"string","value":"sha256:0"}`)),
		guard:  byGuard(422, `"IMAGE_DIGEST", which the Task does not declare`),
		policy: byPolicy("the step does not declare")},
	{name: "forbid a result of a step that the Task does not have", who: "published-pod", run: "published",
		change: change(add("/status/steps/-",
			`{"name":"evil","container":"step-evil","results":[{"name":"digest","type":"string","value":"d"}]}`)),
		guard: byGuard(422, `"evil", which the Task does not declare`), policy: byPolicy("the step does not declare")},
	{name: "forbid the own pod to write a result that the Task takes from a step", who: "computed-pod", run: "computed",
		change: firstForged,
		guard:  byGuard(422, "which the Task does not declare, or declares with a value:"),
		policy: passes(
			"in the final object, which is all a policy sees, such a result is the guard's own doing; it is the " +
				"own pod's either way")},
	{name: "forbid one name twice in a list", who: "published-pod", run: "published",
		change: change(add("/status/results/-", `{"name":"late","type":"string","value":"v"}`),
			add("/status/results/-", `{"name":"late","type":"string","value":"w"}`)),
		guard: byGuard(422, `"late" twice`), policy: byPolicy("given twice")},
	{name: "forbid a stored name once more with another value", who: "published-pod", run: "published",
		change: change(add("/status/results/-", `{"name":"text","type":"string","value":"forged"}`)),
		guard:  byGuard(422, `"text" twice`), policy: byPolicy("stored results stay")},
	{name: "forbid a step twice", who: "published-pod", run: "published",
		change: change(`{"op":"copy","from":"/status/steps/0","path":"/status/steps/-"}`),
		guard:  byGuard(422, `"build" twice`), policy: byPolicy("status.steps")},
	{name: "forbid another type than the declared one", who: "published-pod", run: "published",
		change: change(add("/status/results/-", `{"name":"late","type":"array","value":"v"}`)),
		guard:  byGuard(422, "of another type"), policy: byPolicy("another type than declared")},
	{name: "forbid a value that is no text", who: "published-pod", run: "published",
		change: change(add("/status/results/-", `{"name":"late","type":"string","value":["v"]}`)),
		guard:  byGuard(422, "must be a string"), policy: byPolicy("not of its type")},
	{name: "forbid a value that Tekton's own webhook makes a text of", who: "fresh-pod", run: "fresh",
		change: change(add("/status/results", `[{"name":"text","type":"string","value":{"a":["b"]}}]`)),
		guard:  byGuard(422, "must be a string"),
		policy: passes("what would be stored is that text, which the own pod may " +
			"publish")},

	{name: "forbid the own pod to add a result after completion", who: "finished-pod", run: "finished", change: forged,
		guard: byGuard(403, "is finished"), policy: byPolicy("is finished")},
	{name: "forbid the own pod to add a result after a failure", who: "failed-pod", run: "failed", change: forged,
		guard: byGuard(403, "is finished"), policy: byPolicy("is finished")},
	{name: "forbid the own pod to change a result after completion", who: "finished-pod", run: "finished",
		change: change(add("/status/results/0/value", `"forged"`)),
		guard:  byGuard(422, "cannot be changed"), policy: byPolicy("stored results stay")},
}

// attacksOnOtherFields are by the own pod, on every other field, each in one write with a result
// that it may publish. The fields are those of policy_test.go.
func attacksOnOtherFields() []attack {
	var rows []attack
	for _, field := range slices.Sorted(maps.Keys(otherFields)) {
		row := attack{name: "forbid the own pod to write status." + field, who: "published-pod", run: "published",
			change: forged[:len(forged)-1] + "," + add("/status/"+field, otherFields[field]) + "]",
			guard:  byGuard(422, "not change \"status."+field), policy: byPolicy("not change other fields")}
		if field == "podName" {
			row.policy = byPolicy("") // which of two reasons comes first is up to the API server
		}
		rows = append(rows, row)
	}
	for _, field := range slices.Sorted(maps.Keys(otherStepFields)) {
		row := attack{name: "forbid the own pod to write status.steps[]." + field, who: "published-pod",
			run:    "published",
			change: forged[:len(forged)-1] + "," + add("/status/steps/0/"+field, otherStepFields[field]) + "]",
			guard:  byGuard(422, "status.steps[]."+field), policy: byPolicy("status.steps")}
		if field == "name" {
			row.guard = byGuard(422, "status.steps[].container") // which no longer follows from the name
		}
		rows = append(rows, row)
	}
	// The status subresource restores metadata and spec: the guard sees the attempt, the policy
	// only the outcome.
	for _, field := range []struct{ path, value, says string }{
		{"/metadata/labels", `{"evil":"x"}`, "metadata.labels"},
		{"/metadata/annotations", `{"evil":"x"}`, "metadata.annotations"},
		{"/metadata/finalizers", `["evil.example/x"]`, "metadata.finalizers"},
		{"/metadata/ownerReferences", `[{"apiVersion":"v1","kind":"Pod","name":"published-pod","uid":"u"}]`,
			"metadata.ownerReferences"},
		{"/spec/timeout", `"1s"`, "spec"},
	} {
		rows = append(rows, attack{name: "forbid the own pod to write " + field.says + " through the status",
			who: "published-pod", run: "published",
			change: change(add(field.path, field.value)), guard: byGuard(422, `not change "`+field.says),
			policy: noEffect("the API server keeps metadata and spec in a write to the status")})
	}
	return rows
}
