package inject

import (
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Annotations show on the Pod what was done with it. Tekton copies a TaskRun's annotations to its
// Pods, so a mark may be copied from another Pod: each mark is set to what is true of this Pod, or
// removed.

// mark is an annotation that says what was done; an empty value removes it.
type mark struct{ key, value string }

// marks returns the marks of a TaskRun's Pod.
func (d decision) marks() []mark {
	var injected, not, scripts string
	switch {
	case d.publish != nil:
		injected = string(d.publish.delivery)
	case d.skipped.is(reasonAlreadyInjected):
		injected = d.pod.Annotations[result.InjectedAnnotation]
	case !d.skipped.is(reasonNoResults) && mayHaveResults(d.pod):
		not = string(d.skipped.reason) + ": " + d.skipped.because
	}
	if d.scripts != nil || hasSplitScripts(d.pod) {
		scripts = result.ScriptsSplit
	}
	return []mark{{result.InjectedAnnotation, injected}, {result.NotInjectedAnnotation, not},
		{result.ScriptsAnnotation, scripts}}
}

// annotate returns the operations that set or remove the marks.
func annotate(pod *corev1.Pod, marks []mark) []jsonpatch.JsonPatchOperation {
	var ops []jsonpatch.JsonPatchOperation
	missing := len(pod.Annotations) == 0 // or null, or empty: "add" of the whole map fits all three
	for _, m := range marks {
		have, there := pod.Annotations[m.key]
		switch {
		case m.value == "" && there:
			ops = append(ops, jsonpatch.NewOperation("remove", pointer("metadata", "annotations", m.key), nil))
		case m.value == "" || m.value == have:
		case missing:
			ops, missing = append(ops, add(map[string]string{m.key: m.value}, "metadata", "annotations")), false
		default:
			ops = append(ops, add(m.value, "metadata", "annotations", m.key))
		}
	}
	return ops
}
