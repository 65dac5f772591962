package inject

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// The annotation indelible.dev/result-size on a Task declares how large its largest result may
// become. If that much cannot be published, the Pod is refused before it runs: because the
// installation's limit is smaller, or because the Pod is left alone and Tekton's own limit is 4096
// bytes. An invalid size is refused as well; ignoring it would cost the run it is meant to save.
// The annotation on a TaskRun overrides the Task's, so a user can ask for less.
//
// A Pod whose results go through a sidecar's log is allowed: its limit is a Tekton setting that the
// Pod does not show, and Tekton names it when it is exceeded.

// checkResultSize refuses a Pod that has to publish more than it can. leftAlone is nil if the Pod
// is injected.
func checkResultSize(pod *corev1.Pod, leftAlone *skip, limits result.Limits) *refusal {
	text, asked := pod.Annotations[result.ResultSizeAnnotation]
	if !asked || !mayHaveResults(pod) || leftAlone.is(reasonSidecarLogs) {
		return nil
	}
	const name = "annotation " + result.ResultSizeAnnotation
	size, err := result.ParseSize(text)
	switch {
	case err != nil:
		return &refusal{reasonSizeInvalid, fmt.Sprintf("%s %v", name, err)}
	case size <= result.TektonLimit:
		return nil
	case int64(size) > limits.Result:
		return &refusal{reasonSizeOverLimit,
			fmt.Sprintf("%s asks for results of %s, but this installation's limit is %s "+
				"(limits.result): "+
				"write less, pass it in a workspace, or have the limit raised", name, size, result.Size(limits.Result))}
	case leftAlone != nil && !leftAlone.is(reasonAlreadyInjected):
		return &refusal{reasonSizeUnavailable,
			fmt.Sprintf("%s asks for results of %s, but this Pod's results keep Tekton's "+
				"own limit of %s, because %s: "+
				"set the annotation to that or less on the TaskRun to run it anyway", name, size, result.TektonLimit,
				leftAlone.because)}
	}
	return nil
}
