// Package guard decides who may write what into the status of a TaskRun. It owns three admission handlers.
//
// # The guard
//
// [NewGuard] decides updates of taskruns/status (failure policy Fail). There are four kinds of writers (requester.go):
//
//   - A pod, by its bound token, publishes the results of its own TaskRun and changes nothing else. The rules are one
//     file each, named check_<rule>.go, with the rule in prose on top: scope, opted-in, identity (of the token in
//     check_identity.go, of the live Pod in check_owner.go), publisher, fields, declared, once, frozen, closed, size. What passes them is
//     typed (typing.go) and merged into the stored status (merge.go) as Tekton would have done. A pod sends no more than
//     names, a UID and results, and may read nothing: the answer's JSON patch makes the object what it should be
//     (whole.go), which is what is stored, plus the accepted results.
//   - A service account whose token is bound to no pod is denied: the grant that lets pods publish is to all service
//     accounts.
//   - The trusted controller writes what it likes, but stored results are put back (restore.go), unless it starts
//     another attempt (retry.go).
//   - Anybody else writes what the cluster's RBAC allows, except results.
//
// It has two webhooks: one for namespaces that have opted in, and one, at a path of its own ([NewGuardElsewhere]), for all
// others, where no pod publishes. Both have these matchConditions, so that a TaskRun costs one call and not nine, and Tekton goes on without the
// webhook where no results are at stake. A retry is seen by its cleared podName: Tekton leaves the step results of the
// failed attempt in the status, and the guard takes them out.
//
//	!(request.userInfo.username in 'system:serviceaccount:tekton-pipelines:tekton-pipelines-controller'.split(' '))
//	|| (has(oldObject.status) && has(oldObject.status.results)
//	&& (!has(object.status.results) || object.status.results != oldObject.status.results))
//	|| (has(oldObject.status) && has(oldObject.status.steps) && oldObject.status.steps.exists(s, has(s.results))
//	&& (!has(object.status.podName) || object.status.podName == ''))
//
// # The carry-over
//
// [NewCarryOver] (failure policy Ignore; it never denies) keeps step results, which Tekton's controller drops with
// each write (carryover.go), and explains in a failed TaskRun's condition and in one event why its results were not
// published (explanation.go). Its webhook has these matchConditions:
//
//	request.userInfo.username in 'system:serviceaccount:tekton-pipelines:tekton-pipelines-controller'.split(' ')
//
//	has(object.status) && (
//	  (has(oldObject.status) && has(oldObject.status.steps) && oldObject.status.steps.exists(o,
//	    has(o.results) && !(has(object.status.steps) && object.status.steps.exists(n,
//	      n.name == o.name && has(n.results) && n.results == o.results))))
//	  || (has(object.status.steps) && object.status.steps.exists(s,
//	        (has(s.terminationReason) && s.terminationReason == 'ResultsNotPublished')
//	        || (has(s.terminated) && has(s.terminated.message) && s.terminated.message.contains('indelible.dev/publish')))
//	      && has(object.status.conditions) && object.status.conditions.exists(c,
//	        c.type == 'Succeeded' && c.status == 'False')))
//
// # The report
//
// [NewReport] (failure policy Ignore; it answers nothing) is asked right before the guard, and sends an event about a write
// that the guard is about to deny (denial_event.go). Its webhook has these matchConditions, so that a publisher costs no call:
//
//	!(request.userInfo.username in 'system:serviceaccount:tekton-pipelines:tekton-pipelines-controller'.split(' '))
//
//	!(has(request.options.fieldManager) && request.options.fieldManager == 'indelible-publisher'
//	&& has(request.userInfo.extra) && 'authentication.kubernetes.io/pod-name' in request.userInfo.extra
//	&& has(oldObject.status) && has(oldObject.status.podName)
//	&& request.userInfo.extra['authentication.kubernetes.io/pod-name'] == [oldObject.status.podName]
//	&& request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':'))
//
// # Trust
//
// Whoever reaches the webhook can send it a review of what never was. All are answered alike, and answers change nothing but
// what an API server asked about. Events are sent only for callers that [Options].Authenticated knows to be API servers.
//
// The API server is trusted for who makes a request and for the stored object. Mutating admission sees a write before
// the status subresource's strategy puts metadata and spec back, so a pod's attempt at these is seen, and denied,
// though it would have had no effect. The ValidatingAdmissionPolicy in config/policy enforces the same invariants on the
// final object without this package, except for the UIDs of Pods, which it cannot look up.
//
// A holder of the right to impersonate the controller is the controller.
//
// # Values
//
// A result may have a mebibyte. Each object of a request is read once, in one pass, into raw parts (scan.go, object.go);
// values are carried and compared as bytes, decoded only to be typed, and left out of the patch where they are right
// already. No denial, log line, event or metric contains one.
package guard
