package inject

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// A Task says by the annotation indelible.dev/result-size how large a result of it may become. Where that much could
// not be published, its Pod is refused before it runs: because the installation's limit is smaller, or because the Pod
// is left alone and Tekton alone has 4096 bytes for it. A size that cannot be read is refused as well: to ignore it would
// cost the run it was meant to save. The annotation on a TaskRun replaces that of its Task, so that whoever runs it can
// ask for less.
//
// A Pod whose results go through a sidecar's log is let pass: how much that takes is a setting of Tekton's, which the
// Pod does not tell, and Tekton names it where it is too little.

// checkResultSize refuses a Pod that has to publish more than it can. Why it is left alone is given, nil if it is not.
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
		return &refusal{reasonSizeOverLimit, fmt.Sprintf("%s asks for results of %s, but this installation's limit is %s (limits.result): "+
			"write less, hand it over in a workspace, or have the limit raised", name, size, result.Size(limits.Result))}
	case leftAlone != nil && !leftAlone.is(reasonAlreadyInjected):
		return &refusal{reasonSizeUnavailable, fmt.Sprintf("%s asks for results of %s, but this Pod's results keep Tekton's own limit of %s, because %s: "+
			"set the annotation to that or less on the TaskRun to run it all the same", name, size, result.TektonLimit, leftAlone.because)}
	}
	return nil
}
