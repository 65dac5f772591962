//go:build e2e

package e2e

import "strings"

// The TaskRun published (newAttackStage) holds text: "x", list: ["a","b"], and digest of step
// build; late and map are declared and open. What is forged is mostly late.
var (
	forged = change(add("/status/results/-", `{"name":"late","type":"string","value":"forged"}`))
	// where there are none
	firstForged = change(add("/status/results", `[{"name":"text","type":"string","value":"forged"}]`))
	nothing     = change()
)

func change(operations ...string) string { return "[" + strings.Join(operations, ",") + "]" }

func add(path, value string) string {
	return `{"op":"add","path":"` + path + `","value":` + value + `}`
}

func remove(path string) string { return `{"op":"remove","path":"` + path + `"}` }

// attacksByStrangers are by requesters other than the TaskRun's pod.
var attacksByStrangers = []attack{
	{name: "forbid another pod of the namespace to add a result", who: "another pod", run: "published", change: forged,
		guard: byGuard(403, "is not the TaskRun's pod"), policy: byPolicy("not the TaskRun's pod")},
	{name: "forbid another pod of the namespace to write without changing anything", who: "another pod",
		run:    "published",
		change: nothing,
		guard:  byGuard(403, "is not the TaskRun's pod"), policy: byPolicy("not the TaskRun's pod")},
	{name: "forbid a service account whose token is bound to no pod", who: "the service account without a pod",
		run: "published", change: forged,
		guard: byGuard(403, "not bound to a pod"), policy: byPolicy("not bound to a pod")},
	{name: "forbid a pod of the same name in another namespace", who: "a pod of the same name in another namespace",
		run: "published", change: forged,
		guard: byGuard(403, "another namespace"), policy: byPolicy("another namespace")},
	{name: "forbid the previous attempt's pod after a retry", who: "retried-pod", run: "retried", change: firstForged,
		guard: byGuard(403, "is not the TaskRun's pod"), policy: byPolicy("not the TaskRun's pod")},
	{name: "forbid the own pod to write before the TaskRun names it", who: "unstarted-pod", run: "unstarted",
		change: firstForged,
		guard:  byGuard(409, "try again"), policy: byPolicy("not stored yet")},
	{name: "forbid the token of a pod that was deleted", who: "the pod that was deleted", run: "recreated",
		change: firstForged,
		guard:  byServer(401, "Unauthorized"), policy: byServer(401, "Unauthorized")},
	{name: "forbid a pod that somebody created anew under the own pod's name", who: "recreated-pod", run: "recreated",
		change: firstForged,
		guard:  byGuard(403, "is not controlled by this TaskRun"),
		policy: passes(
			"a policy cannot look up a Pod; it may write what the own pod might have: declared results that " +
				"nobody has written, while the " +
				"TaskRun runs; and who may delete and create pods replaces the TaskRun's pod for Tekton, too")},
	{name: "forbid a pod of another TaskRun that has the own pod's name", who: "published-pod", run: "borrowed",
		change: firstForged,
		guard:  byGuard(403, "is not controlled by this TaskRun"),
		policy: passes(
			"as before; it happens when a TaskRun is deleted and created again under its name while its pod " +
				"still ends")},
}

// attacksByImpersonation: the API server vouches for who is impersonated, and for the extra values,
// as for a token.
var attacksByImpersonation = []attack{
	{name: "forbid an impersonated service account without extra values", who: "the service account, impersonated",
		run: "published", change: forged,
		guard: byGuard(403, "not bound to a pod"), policy: byPolicy("not bound to a pod")},
	{name: "forbid an impersonated service account with a pod's name only",
		who: "the service account, impersonated with " +
			"a pod's name", run: "published", change: forged,
		guard: byGuard(403, "not bound to a pod"), policy: byPolicy("not bound to a pod")},
	{name: "forbid an impersonated service account with the names of two pods",
		who: "the service account, impersonated " +
			"with two pods' names", run: "published", change: forged,
		guard: byGuard(403, "not bound to a pod"), policy: byPolicy("not bound to a pod")},
	{name: "forbid an impersonated service account with a pod's name and an empty UID", who: "the service account, " +
		"impersonated with a name and no UID", run: "published",
		change: forged, guard: byGuard(403, "not bound to a pod"), policy: byPolicy("not bound to a pod")},
	{name: "forbid an impersonated service account with the own pod's name and another UID",
		who: "the service account, impersonated with a name and another's UID",
		run: "fresh", change: firstForged, in: []encoding{mergePatch, jsonPatch, serverSideApply, put},
		guard: byGuard(403, "no longer exists with the UID"),
		policy: passes(
			"a policy cannot look up a Pod; whoever may impersonate with extra values may give the right UID as " +
				"well")},
	{name: "allow an impersonated service account with the own pod's name and UID", who: "the service account, " +
		"impersonated with a pod's name and UID",
		run: "fresh", change: firstForged, in: []encoding{mergePatch, jsonPatch, serverSideApply, put},
		guard: passes(
			"who may impersonate with extra values is whom he says he is, the own pod, and no more than that"),
		policy: passes("as before")},
	{name: "forbid a user who was put into the group of service accounts",
		who: "a user who is in the group of service " +
			"accounts", run: "published", change: forged,
		guard: byGuard(403, "not bound to a pod"), policy: byPolicy("another namespace")},
	{name: "forbid the impersonated controller to change a stored result", who: "the trusted controller, impersonated",
		run:    "published",
		change: change(add("/status/results/0/value", `"forged"`)), in: []encoding{mergePatch, jsonPatch, put},
		guard: putBack, policy: byPolicy("stored results stay")},
	{name: "forbid the impersonated controller to remove the stored results",
		who:    "the trusted controller, impersonated",
		run:    "published",
		change: change(remove("/status/results")), in: []encoding{mergePatch, jsonPatch, put},
		guard: putBack, policy: byPolicy("stored results stay")},
}

// attacksByPeople are by a person with all rights on TaskRuns and Pods in the namespace, but none
// to impersonate.
var attacksByPeople = []attack{
	{name: "forbid a person to add a result", who: "a person with edit rights", run: "published", change: forged,
		guard: byGuard(403, "only the TaskRun's own pod"), policy: byPolicy("only the TaskRun's own pod")},
	{name: "forbid a person to rewrite a result", who: "a person with edit rights", run: "published",
		change: change(add("/status/results/0/value", `"forged"`)),
		guard:  byGuard(403, "only the TaskRun's own pod"), policy: byPolicy("stored results stay")},
	{name: "forbid a person to remove the results", who: "a person with edit rights", run: "published",
		change: change(remove("/status/results")),
		guard:  byGuard(403, "only the TaskRun's own pod"), policy: byPolicy("stored results stay")},
	{name: "forbid a person to rewrite a result after the end", who: "a person with edit rights", run: "finished",
		change: change(add("/status/results/0/value", `"forged"`)),
		guard:  byGuard(403, "only the TaskRun's own pod"), policy: byPolicy("stored results stay")},
	{name: "forbid a person to rewrite a step's result", who: "a person with edit rights", run: "published",
		change: change(add("/status/steps/0/results/0/value", `"forged"`)),
		guard:  byGuard(403, "only the TaskRun's own pod"), policy: byPolicy("only the TaskRun's own pod")},
	{name: "forbid a person to reset the results as a retry does", who: "a person with edit rights", run: "published",
		change: change(remove("/status/results"), add("/status/podName", `""`),
			add("/status/retriesStatus", `[{"podName":"published-pod"}]`)),
		guard: byGuard(403, "only the TaskRun's own pod"), policy: byPolicy("stored results stay")},
	{name: "forbid a cluster administrator to rewrite a result", who: "person", run: "published",
		change: change(add("/status/results/0/value", `"forged"`)),
		guard:  byGuard(403, "only the TaskRun's own pod"), policy: byPolicy("stored results stay")},
}
