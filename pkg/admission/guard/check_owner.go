package guard

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Rule "identity", third part: the live Pod. Names come back: a TaskRun deleted and created again gets a pod of
// the same name, while the first one's pod may still be terminating with a valid token. So the Pod of that name
// must now have the UID that the token is bound to, and its controller must be this TaskRun, by UID.
//
// pod is nil if there is no such Pod. The answer is the same then: whether a Pod exists is nothing to tell to whoever
// asks, and may have forged the question.
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
	return forbidden(ruleIdentity, "Pod %.100q no longer exists with the UID that the token is bound to, or is not controlled by this TaskRun "+
		"(metadata.ownerReferences)", r.podName)
}
