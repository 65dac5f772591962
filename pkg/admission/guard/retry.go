package guard

import "encoding/json"

// isRetry reports whether a write of the trusted controller starts another attempt. Tekton's
// retryTaskRun (pkg/reconciler/taskrun/taskrun.go) then moves the status into retriesStatus, which
// grows by one, and clears podName and results. It is the only way for stored results to disappear;
// each attempt has its own.
func isRetry(stored, incoming status) bool {
	before, ok := countElements(stored.fields["retriesStatus"])
	if !ok {
		return false
	}
	after, ok := countElements(incoming.fields["retriesStatus"])
	return ok && after == before+1 && incoming.fields.text("podName") == "" && len(incoming.results.list) == 0
}

// countElements returns the length of a list; an absent one is empty.
func countElements(raw json.RawMessage) (int, bool) {
	s := scan(raw)
	if len(raw) == 0 || s.Null() {
		return 0, true
	}
	n := 0
	err := s.Array(func() error {
		n++
		return s.Skip()
	})
	return n, err == nil
}
