package fit

// Rule "retries": the results and Task copies that earlier attempts of a TaskRun left in
// retriesStatus are replaced by sizes and digests if they take room that the next attempt needs.
// Tekton 1.15 never reads either: IsPodArchived (pkg/pod/status.go) reads each attempt's podName,
// and Build (pkg/pod/pod.go), ApplyContexts (pkg/reconciler/taskrun/resources/apply.go) and
// IsRetriable only their number. No Pipeline can use the results of a failed attempt.
//
// It must be done when the controller starts the next attempt: a pod may write results only.
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

// longResults returns the paths of the long values among the results of an attempt or a step. A
// value is replaced as a whole, so an array becomes a string: it must not look like an array with
// fewer elements.
func (o *object) longResults(p path) (list []path) {
	for i := range o.list(p.then("results")...) {
		if value := p.then("results", i, "value"); encodedLen(o.at(value...)) >= worthShortening {
			list = append(list, value)
		}
	}
	return list
}
