package archiver

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// children are the runs that a PipelineRun made.
func (r *run) children() []Reference {
	var refs []Reference
	for _, c := range r.status.ChildReferences {
		if slices.Contains(kinds, c.Kind) {
			refs = append(refs, Reference{Kind: c.Kind, Namespace: r.Namespace, Name: c.Name})
		}
	}
	return refs
}

// isOwnedBy says whether one run was made by another: a later one may have the name of the one that was.
func isOwnedBy(child, parent *run) bool {
	for _, owner := range child.OwnerReferences {
		if owner.UID == parent.UID {
			return true
		}
	}
	return false
}

// owned says whether the run leaves the cluster with what made it: a PipelineRun, a CustomRun, or somebody else's controller, which
// may want it just as much. An owner that is gone is no reference any more: the garbage collector sees to that.
func (r *run) owned() bool {
	return slices.ContainsFunc(r.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.Controller != nil && *o.Controller || slices.Contains(kinds, o.Kind)
	})
}
