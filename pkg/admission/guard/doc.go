// Package guard decides who may write what into the status of a TaskRun. It owns three kinds of
// admission handlers: the guard, the carry-over and the report.
//
// # The guard
//
// [NewGuard] decides updates of taskruns/status (failure policy Fail). There are four kinds of
// requesters (requester.go):
//
//   - A pod, identified by its bound token, publishes the results of its own TaskRun and changes
//     nothing else. Each rule has a file check_<rule>.go with the rule in prose on top. They are
//     applied in this order (judge, judgeAccount and judgePod in guard.go): scope; identity, part 1
//     (token); opted-in; request (the objects can be read); identity, parts 2 (podName) and 3 (live
//     Pod, in check_owner.go); publisher; fields; declared; once; type (merge.go); completed; size;
//     closed. Accepted results are typed as Tekton would (typing.go) and merged into the stored
//     status (merge.go). A pod sends names, a UID and results only and may not read anything: the
//     answer's JSON patch completes the object (whole.go).
//   - A service account whose token is not bound to a pod is denied: the grant that lets pods
//     publish covers all service accounts.
//   - The trusted controller writes what it likes, but stored results are put back (putback.go),
//     unless it starts another attempt (retry.go).
//   - Anybody else writes what the cluster's RBAC allows, except results (rule "others").
//
// It has two webhooks: one for namespaces that have opted in, and one at another path
// ([NewGuardElsewhere]) for all others, where no pod publishes. Both have the matchConditions
// below, so that a TaskRun costs one call instead of nine, and Tekton goes on without the webhook
// where no results are at stake. A retry is recognized by its cleared podName: Tekton leaves the
// step results of the failed attempt in the status, and the guard removes them.
//
//	!(request.userInfo.username in
//	'system:serviceaccount:tekton-pipelines:tekton-pipelines-controller'.split(' '))
//	|| (has(oldObject.status) && has(oldObject.status.results)
//	&& (!has(object.status.results) || object.status.results != oldObject.status.results))
//	|| (has(oldObject.status) && has(oldObject.status.steps) &&
//	oldObject.status.steps.exists(s, has(s.results))
//	&& (!has(object.status.podName) || object.status.podName == ''))
//
// # The carry-over
//
// [NewCarryOver] (failure policy Ignore; it never denies) keeps step results, which Tekton's
// controller drops with each write (carryover.go), and explains in a failed TaskRun's condition and
// in one event why its results were not published (explanation.go). Its webhook has these
// matchConditions:
//
//	request.userInfo.username in
//	'system:serviceaccount:tekton-pipelines:tekton-pipelines-controller'.split(' ')
//
//	has(object.status) && (
//	  (has(oldObject.status) && has(oldObject.status.steps) && oldObject.status.steps.exists(o,
//	    has(o.results) && !(has(object.status.steps) && object.status.steps.exists(n,
//	      n.name == o.name && has(n.results) && n.results == o.results))))
//	  || (has(object.status.steps) && object.status.steps.exists(s,
//	        (has(s.terminationReason) && s.terminationReason == 'ResultsNotPublished')
//	        || (has(s.terminated) && has(s.terminated.message) &&
//	        s.terminated.message.contains('indelible.dev/publish')))
//	      && has(object.status.conditions) && object.status.conditions.exists(c,
//	        c.type == 'Succeeded' && c.status == 'False')))
//
// # The report
//
// [NewReport] (failure policy Ignore; it always allows) is called right before the guard, and sends
// an event about a write that the guard is about to deny (denial_event.go). Its webhook has these
// matchConditions, so that publishing costs no call:
//
//	!(request.userInfo.username in
//	'system:serviceaccount:tekton-pipelines:tekton-pipelines-controller'.split(' '))
//
//	!(has(request.options.fieldManager) && request.options.fieldManager == 'indelible-publisher'
//	&& has(request.userInfo.extra) &&
//	'authentication.kubernetes.io/pod-name' in request.userInfo.extra
//	&& has(oldObject.status) && has(oldObject.status.podName)
//	&& request.userInfo.extra['authentication.kubernetes.io/pod-name'] == [oldObject.status.podName]
//	&& request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':'))
//
// # Trust
//
// Anybody who reaches the webhook can send it a forged review. All callers get the same answers,
// and an answer has an effect only at the API server that asked. Events are sent only for callers
// that [Options].Authenticated identifies as API servers.
//
// The API server is trusted for who makes a request and for the stored object. Mutating admission
// sees a write before the status subresource's strategy restores metadata and spec, so a pod's
// attempt to change these is seen and denied, though it would have no effect. The
// ValidatingAdmissionPolicy in config/policy enforces the same invariants on the final object
// without this package, except what needs the live Pod, the size of one result and the size of the
// object (docs/threat-model.md).
//
// A holder of the right to impersonate the controller is the controller.
//
// # Values
//
// A result may have 1 MiB. Each object of a request is read in one pass into raw parts (object.go,
// pkg/jsonscan); values are carried and compared as bytes, decoded only to be typed, and left out
// of the patch where they are already right. No denial, log line, event or metric contains one.
package guard
