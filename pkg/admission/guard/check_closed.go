package guard

// Rule "closed": a TaskRun's pod publishes once, all at once (TEP-0086: "first write, subsequent read only"). The publisher has
// compared what is stored with the files by the time its step ends; what another container added later would be compared
// with nothing. Whatever was published closes the attempt's results. That nothing was leaves no trace: Tekton's own webhook
// drops an empty list.
func checkClosed(stored status, adds bool) *denial {
	if !adds || !isPublished(stored) {
		return nil
	}
	return invalid(ruleClosed, "status.results: the pod has published its results already, and may add none")
}

func isPublished(stored status) bool {
	if len(stored.results.list) > 0 {
		return true
	}
	for _, st := range stored.steps.list {
		if len(st.results.list) > 0 {
			return true
		}
	}
	return false
}
