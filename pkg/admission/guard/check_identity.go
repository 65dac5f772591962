package guard

// Rule "identity", part 1: the token. The API server vouches for the service account's namespace
// and for the pod in the token. A token without a pod cannot publish, nor can one from another
// namespace. Both are decided before any object is read.
func checkToken(r requester, namespace string) *denial {
	if r.kind != requesterPod {
		return forbidden(ruleIdentity,
			"the service account's token is not bound to a pod: only a TaskRun's own pod may write its results")
	}
	if r.namespace != namespace {
		return forbidden(ruleIdentity, "the service account is of another namespace than the TaskRun")
	}
	return nil
}

// Rule "identity", part 2: the stored status names the TaskRun's pod.
//
// podName may not be stored yet, for a new TaskRun or a retry; the write may succeed later, so the
// answer is 409. Names are reused; part 3 (check_owner.go) compares UIDs.
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
