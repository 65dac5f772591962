package run

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxChildren is more than any Pipeline makes: Tekton's status of so many takes half of an object.
	// A run does not wait for more, which are archived on their own.
	maxChildren = 4000
	// maxOwners is how many of a run's owners count. Tekton's runs have one.
	maxOwners = 4
)

// Children returns the runs that a PipelineRun created, according to its status, each once. Users
// may have written that: what no run can have is left out, and so is what exceeds maxChildren.
func (r *Run) Children() []Reference {
	if r.Kind != PipelineRunKind {
		return nil
	}
	var refs []Reference
	seen := map[Reference]bool{}
	for _, c := range r.Status.ChildReferences {
		ref := Reference{Kind: c.Kind, Namespace: r.Namespace, Name: c.Name}
		if seen[ref] || ref.check() != nil {
			continue
		}
		if len(refs) == maxChildren {
			break
		}
		seen[ref] = true
		refs = append(refs, ref)
	}
	return refs
}

// Owners returns the UIDs of the runs that own the run, by which the garbage collector deletes it.
func (r *Run) Owners() []types.UID {
	var uids []types.UID
	for _, owner := range r.OwnerReferences {
		if len(uids) < maxOwners && slices.Contains(Kinds, owner.Kind) && isOurs(owner.APIVersion) {
			uids = append(uids, owner.UID)
		}
	}
	return uids
}

func isOurs(apiVersion string) bool { return strings.HasPrefix(apiVersion, Resources[0].Group+"/") }

// Parents returns the PipelineRuns that created the run.
func (r *Run) Parents() []Reference {
	var all []Reference
	for _, owner := range r.OwnerReferences {
		if owner.Kind == PipelineRunKind && isOurs(owner.APIVersion) {
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
