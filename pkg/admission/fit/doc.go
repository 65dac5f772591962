// Package fit keeps runs small enough to be stored, so that no run stays Running because of its
// size. It owns the admission handler [New].
//
// etcd rejects requests over 1.5 MiB. Tekton's controller copies a result into the runs that use
// it, and retries a write that cannot be stored over and over: the run stays unchanged until its
// timeout, or for ever if not even its start could be stored. Each rule has a file, with the rule
// in prose on top:
//
//   - references.go: a parameter's value in status.taskSpec or status.pipelineSpec is replaced by
//     the reference it came from. Nothing is lost: the value is in spec.params, and Tekton
//     substitutes it again whenever it reads the spec.
//   - when.go, retries.go, embedded.go: copies that are only informative are replaced by a size and
//     a digest.
//   - pipelineresults.go: Pipeline results that cannot be stored together fail their PipelineRun,
//     with a message.
//   - creation.go: a run that could not be stored, or whose status could not, is refused at
//     creation, so that its PipelineRun ends, with a message.
//   - cancelled.go: a PipelineRun cancelled by pkg/oversize says why.
//   - podcreation.go: a Pod that could not be stored fails its TaskRun, and Tekton does not say
//     what is large in it; that is added.
//
// Only what is too large is changed: a status that fits is stored as Tekton wrote it. The webhook
// is called only for large runs, by these matchConditions:
//
//	(request.userInfo.username in
//	'system:serviceaccount:tekton-pipelines:tekton-pipelines-controller'.split(' ')
//	|| request.operation == 'CREATE')
//	&& (size('%s'.format([object])) > 100000
//	|| object.metadata.?annotations[?'indelible.dev/too-large'].hasValue())
//
// The formatted text contains every string of the object, without JSON's escapes, and is counted in
// code points: the object has at most six times as many bytes. The failure policy is Ignore:
// without an answer, Tekton behaves as without this package.
//
// No message, event or log line contains a value.
package fit
