package guard

// Rule "identity", first half: the token. A pod may write to the TaskRun whose pod it is. The API server vouches
// for the service account's namespace and the token's pod; the stored status says which pod is the TaskRun's.
// A service account without a pod in its token is nobody's pod.
//
// The stored status may be empty, or of a retry that has no pod yet: then the write may be allowed later, and the
// denial says "try again". Names can be reused, so the second half (check_owner.go) compares UIDs.
func checkIdentity(w writer, stored taskRun) *denial {
	if w.kind != writerPod {
		return forbidden(ruleIdentity, "the service account's token is not bound to a pod: only a TaskRun's own pod may write its results")
	}
	if w.namespace != stored.namespace {
		return forbidden(ruleIdentity, "the service account is of another namespace than the TaskRun")
	}
	podName := stored.status.fields.text("podName")
	if podName == "" {
		return tooEarly(ruleIdentity, "status.podName is not stored yet: try again")
	}
	if podName != w.podName {
		return forbidden(ruleIdentity, "Pod %.100q is not the TaskRun's pod (status.podName)", w.podName)
	}
	return nil
}
