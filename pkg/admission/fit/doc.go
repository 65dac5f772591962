// Package fit keeps what Tekton's controller writes of a run small enough to be stored, so that no run stays Running because
// of a size. It owns the admission handler [New].
//
// etcd takes no request over 1.5 MiB. Tekton's controller puts copies of a result into the runs that use it, and what it then
// cannot store it tries to store again and again: the run stays as it was until its timeout, or for ever where not even
// its start could be stored. One file a rule, with the rule in prose on top:
//
//   - references.go: a parameter's value in status.taskSpec or status.pipelineSpec becomes the reference it came from.
//     Nothing is lost: the value is in spec.params, and Tekton puts it in again whenever it reads the spec.
//   - when.go, retries.go, embedded.go: copies that only inform become a size and a digest.
//   - pipelineresults.go: results of a Pipeline that cannot be stored together end their PipelineRun, with words.
//   - creation.go: a run that could not be stored, or whose status could not, is refused when it is created, so that its
//     PipelineRun ends, with words.
//   - cancelled.go: a PipelineRun that pkg/oversize has cancelled says why.
//   - podcreation.go: a Pod that could not be stored fails its TaskRun without saying what in it is large; that is added.
//
// Only what is too large is changed: a status that fits is stored as Tekton wrote it. Its webhook is asked only about
// runs that are large, whatever it is in them that is, by these matchConditions:
//
//	(request.userInfo.username in 'system:serviceaccount:tekton-pipelines:tekton-pipelines-controller'.split(' ')
//	|| request.operation == 'CREATE')
//	&& (size('%s'.format([object])) > 100000
//	|| object.metadata.?annotations[?'indelible.dev/too-large'].hasValue())
//
// The text has each string of the object, without JSON's escapes, and is counted in code points: an object over the limits
// of this package has six times as many bytes at most. The failure policy is Ignore: without an answer it is as without this
// package.
//
// No message, event or log line has a value.
package fit
