package guard

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Rule "publisher": a pod publishes only if one of its steps runs the publisher, which compares
// what is stored with the files and fails the TaskRun if they differ. In a pod without it (opted
// out, or created while no webhook answered) results come from termination messages, and nothing
// would verify what some container publishes with the pod's token. A Pod's commands cannot be
// changed, and Tekton sets every step's command, so a Task cannot fake it.
func checkPublisher(r requester, pod *corev1.Pod) *denial {
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if strings.HasPrefix(c.Name, containerPrefix) && len(c.Command) > 0 && c.Command[0] == result.PublisherPath {
			return nil
		}
	}
	return forbidden(rulePublisher, "Pod %.100q has no publisher: its results are those that Tekton reads from it",
		r.podName)
}
