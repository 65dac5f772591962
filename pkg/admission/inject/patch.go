package inject

import (
	"fmt"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// patch returns the plan as a JSON patch (RFC 6902) of the Pod it was made for.
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

// appendAll adds items to the end of a list that may be missing, null or empty: the typed Pod does not tell these
// apart, and "add" of the whole list is right for all three.
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

// prepend puts item first in a list that may be missing, null or empty.
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
