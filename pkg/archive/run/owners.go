package run

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Children are the runs that a PipelineRun made.
func (r *Run) Children() []Reference {
	var refs []Reference
	for _, c := range r.Status.ChildReferences {
		if slices.Contains(Kinds, c.Kind) {
			refs = append(refs, Reference{Kind: c.Kind, Namespace: r.Namespace, Name: c.Name})
		}
	}
	return refs
}

// Parents are the PipelineRuns that made the run.
func (r *Run) Parents() []Reference {
	var all []Reference
	for _, owner := range r.OwnerReferences {
		if owner.Kind == PipelineRunKind && strings.HasPrefix(owner.APIVersion, Resources[0].Group+"/") {
			all = append(all, Reference{Kind: PipelineRunKind, Namespace: r.Namespace, Name: owner.Name})
		}
	}
	return all
}

// IsOwnedBy says whether one run was made by another: a later one may have the name of the one that
// was.
func IsOwnedBy(child, parent *Run) bool {
	for _, owner := range child.OwnerReferences {
		if owner.UID == parent.UID {
			return true
		}
	}
	return false
}

// Owned says whether the run leaves the cluster with what made it: a PipelineRun, a CustomRun, or
// somebody else's controller, which may want it just as much. An owner that is gone is no reference
// any more: the garbage collector sees to that.
func (r *Run) Owned() bool {
	return slices.ContainsFunc(r.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.Controller != nil && *o.Controller || slices.Contains(Kinds, o.Kind)
	})
}
