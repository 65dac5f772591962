package selfcheck

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// Rule "policy": a policy that cannot be evaluated denies. Its expressions are not checked.
func checkPolicy(p *admissionv1.ValidatingAdmissionPolicy) string {
	if !isFail(p.Spec.FailurePolicy) {
		return fmt.Sprintf("has failurePolicy %s, not Fail", *p.Spec.FailurePolicy)
	}
	return ""
}

// Rule "binding": a policy without a binding is not evaluated; without the action Deny it only
// warns or audits.
func checkBinding(b *admissionv1.ValidatingAdmissionPolicyBinding) string {
	switch {
	case b.Spec.PolicyName != b.Name:
		return fmt.Sprintf("binds %q, not %q", b.Spec.PolicyName, b.Name)
	case !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny):
		return fmt.Sprintf("has validationActions %v, without Deny", b.Spec.ValidationActions)
	}
	return ""
}
