package guard

// Rule "identity", first part: the token. A pod may write to the TaskRun whose pod it is. The API server vouches for the
// service account's namespace and the token's pod. A service account without a pod in its token is nobody's pod, and
// one of another namespace is not the TaskRun's. Both are known before any object is read.
func checkToken(r requester, namespace string) *denial {
	if r.kind != requesterPod {
		return forbidden(ruleIdentity, "the service account's token is not bound to a pod: only a TaskRun's own pod may write its results")
	}
	if r.namespace != namespace {
		return forbidden(ruleIdentity, "the service account is of another namespace than the TaskRun")
	}
	return nil
}

// Rule "identity", second part: the stored status says which pod is the TaskRun's.
//
// The stored status may be empty, or of a retry that has no pod yet: then the write may be allowed later, and the
// denial says "try again". Names can be reused, so the third part (check_owner.go) compares UIDs.
func checkIdentity(r requester, stored taskRun) *denial {
	if d := checkToken(r, stored.namespace); d != nil {
		return d
	}
	podName := stored.status.fields.text("podName")
	if podName == "" {
		return tooEarly(ruleIdentity, "status.podName is not stored yet: try again")
	}
	if podName != r.podName {
		return forbidden(ruleIdentity, "Pod %.100q is not the TaskRun's pod (status.podName)", r.podName)
	}
	return nil
}
