package inject

import (
	"fmt"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// patch returns the plan as JSON patch operations (RFC 6902) on its Pod.
func (p *plan) patch(pod *corev1.Pod) []jsonpatch.JsonPatchOperation {
	var ops []jsonpatch.JsonPatchOperation
	for _, s := range p.steps {
		c := &pod.Spec.Containers[s.container]
		if w := p.wrapOf(s.container); w != nil {
			ops = append(ops,
				replace(w.command, "spec", "containers", s.container, "command"),
				replace(w.args, "spec", "containers", s.container, "args"))
			ops = append(ops, appendAll(c.VolumeMounts, w.mounts, "spec", "containers", s.container, "volumeMounts")...)
		} else if len(s.args.kept) != len(c.Args) {
			ops = append(ops, replace(s.args.kept, "spec", "containers", s.container, "args"))
		}
	}
	ops = append(ops, appendAll(pod.Spec.Volumes, p.volumes, "spec", "volumes")...)
	if p.installer != nil {
		ops = append(ops, prepend(pod.Spec.InitContainers, *p.installer, "spec", "initContainers"))
	}
	return ops
}

// appendAll appends items to a list that may be missing, null or empty: the typed Pod does not
// distinguish these, and "add" of the whole list fits all three.
func appendAll[T any](have, items []T, at ...any) []jsonpatch.JsonPatchOperation {
	if len(have) == 0 {
		return []jsonpatch.JsonPatchOperation{add(items, at...)}
	}
	var ops []jsonpatch.JsonPatchOperation
	for _, item := range items {
		ops = append(ops, add(item, append(at[:len(at):len(at)], "-")...))
	}
	return ops
}

// prepend inserts item at the front of a list that may be missing, null or empty.
func prepend[T any](have []T, item T, at ...any) jsonpatch.JsonPatchOperation {
	if len(have) == 0 {
		return add([]T{item}, at...)
	}
	return add(item, append(at[:len(at):len(at)], 0)...)
}

func add(value any, at ...any) jsonpatch.JsonPatchOperation {
	return jsonpatch.NewOperation("add", pointer(at...), value)
}

func replace(value any, at ...any) jsonpatch.JsonPatchOperation {
	return jsonpatch.NewOperation("replace", pointer(at...), value)
}

// pointer builds a JSON pointer (RFC 6901).
func pointer(at ...any) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, part := range at {
		b.WriteString("/" + escape.Replace(fmt.Sprint(part)))
	}
	return b.String()
}
