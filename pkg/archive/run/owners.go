package run

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Children returns the runs that a PipelineRun created.
func (r *Run) Children() []Reference {
	var refs []Reference
	for _, c := range r.Status.ChildReferences {
		if slices.Contains(Kinds, c.Kind) {
			refs = append(refs, Reference{Kind: c.Kind, Namespace: r.Namespace, Name: c.Name})
		}
	}
	return refs
}

// Parents returns the PipelineRuns that created the run.
func (r *Run) Parents() []Reference {
	var all []Reference
	for _, owner := range r.OwnerReferences {
		if owner.Kind == PipelineRunKind && strings.HasPrefix(owner.APIVersion, Resources[0].Group+"/") {
			all = append(all, Reference{Kind: PipelineRunKind, Namespace: r.Namespace, Name: owner.Name})
		}
	}
	return all
}

// IsOwnedBy compares UIDs, as another run may have the name of a deleted one.
func IsOwnedBy(child, parent *Run) bool {
	for _, owner := range child.OwnerReferences {
		if owner.UID == parent.UID {
			return true
		}
	}
	return false
}

// Owned reports whether the garbage collector deletes the run with an owner: a PipelineRun, a
// CustomRun, or another controller, which may recreate it just as Tekton does.
func (r *Run) Owned() bool {
	return slices.ContainsFunc(r.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.Controller != nil && *o.Controller || slices.Contains(Kinds, o.Kind)
	})
}
