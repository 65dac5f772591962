package fit

// Rule "retries": what earlier attempts of a TaskRun have left in retriesStatus, their results and their copies of the Task, is
// shortened to sizes and digests where it takes the room that the next attempt needs for its own. Tekton 1.15 never reads either:
// IsPodArchived (pkg/pod/status.go) looks at each attempt's podName, and Build (pkg/pod/pod.go), ApplyContexts
// (pkg/reconciler/taskrun/resources/apply.go) and IsRetriable at how many there are. No Pipeline can use
// the results of an attempt that failed.
//
// It has to be done when the controller starts the next attempt: a pod may write results and nothing else.
func (o *object) shortenRetries(size int) {
	var copies []path
	for i := range o.list("status", "retriesStatus") {
		attempt := path{"status", "retriesStatus", i}
		copies = append(copies, o.longResults(attempt)...)
		for j := range o.list(attempt.then("steps")...) {
			copies = append(copies, o.longResults(attempt.then("steps", j))...)
		}
		copies = append(copies, o.textsBelow(attempt.then("taskSpec"))...)
	}
	o.shorten(size, copies)
}

// longResults are the paths of the long values among the results of an attempt or a step. A value is shortened as a whole, so that
// an array becomes a string: it must not be taken for an array of fewer elements.
func (o *object) longResults(p path) (list []path) {
	for i := range o.list(p.then("results")...) {
		if value := p.then("results", i, "value"); encodedLen(o.at(value...)) >= worthShortening {
			list = append(list, value)
		}
	}
	return list
}
