package guard

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Rule "identity", part 3: the live Pod. Names are reused: a recreated TaskRun gets a pod of the
// same name while the first one's pod may still be terminating with a valid token. So the live Pod
// must have the UID in the token, and be controlled by this TaskRun's UID.
//
// pod is nil if there is no such Pod. The answer is the same then, so that nobody can probe which
// Pods exist.
func checkOwner(r requester, stored taskRun, pod *corev1.Pod) *denial {
	if pod == nil || string(pod.UID) != r.podUID || pod.Namespace != stored.namespace {
		return notTheOwned(r)
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "TaskRun" || !strings.HasPrefix(owner.APIVersion, "tekton.dev/") ||
		owner.Name != stored.name || stored.uid == "" || string(owner.UID) != stored.uid {
		return notTheOwned(r)
	}
	return nil
}

func notTheOwned(r requester) *denial {
	return forbidden(ruleIdentity,
		"Pod %.100q no longer exists with the UID that the token is bound to, or is not controlled by this TaskRun "+
			"(metadata.ownerReferences)", r.podName)
}
