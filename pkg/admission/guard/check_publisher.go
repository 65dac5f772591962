package guard

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Rule "publisher": a pod publishes only if a step of it runs the publisher. That compares what is stored with the files,
// and fails the TaskRun where they differ. In a pod without one, which opted out or was created while no webhook answered,
// results come from termination messages, and what a container publishes with the pod's token nobody would compare. Commands
// of a Pod cannot be changed, and Tekton makes every step's its own, so that no Task can pretend to have one.
func checkPublisher(r requester, pod *corev1.Pod) *denial {
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if strings.HasPrefix(c.Name, containerPrefix) && len(c.Command) > 0 && c.Command[0] == result.PublisherPath {
			return nil
		}
	}
	return forbidden(rulePublisher, "Pod %.100q has no publisher: its results are those that Tekton reads from it", r.podName)
}
