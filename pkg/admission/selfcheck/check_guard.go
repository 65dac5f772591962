package selfcheck

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Rule "guard": the configuration has the guard's two webhooks, one for namespaces that have opted
// in and one for all others; they receive each update of taskruns/status in every version, and fail
// closed. An objectSelector would let anybody who labels a TaskRun decide whether it is guarded.
//
// It returns what is wrong, "" if nothing is.
func checkGuard(c *admissionv1.MutatingWebhookConfiguration) string {
	if why := checkWebhook(c, guardWebhook, metav1.LabelSelectorOpIn); why != "" {
		return why
	}
	return checkWebhook(c, elsewhereWebhook, metav1.LabelSelectorOpNotIn)
}

func checkWebhook(
	c *admissionv1.MutatingWebhookConfiguration, name string, optedIn metav1.LabelSelectorOperator,
) string {
	i := slices.IndexFunc(c.Webhooks, func(w admissionv1.MutatingWebhook) bool { return w.Name == name })
	if i < 0 {
		return "has no webhook " + name
	}
	w := c.Webhooks[i]
	switch {
	case !isFail(w.FailurePolicy):
		return fmt.Sprintf("has failurePolicy %s for %s, not Fail", *w.FailurePolicy, name)
	case w.MatchPolicy != nil && *w.MatchPolicy != admissionv1.Equivalent:
		return fmt.Sprintf("has matchPolicy %s for %s, not Equivalent", *w.MatchPolicy, name)
	case !selects(w.NamespaceSelector, optedIn):
		return fmt.Sprintf("has a namespaceSelector for %s that is not %s %s (%s)", name, result.EnabledKey, optedIn,
			result.Enabled)
	case !isEmpty(w.ObjectSelector):
		return "has an objectSelector for " + name
	case !slices.ContainsFunc(w.Rules, covers):
		return "has no rule for UPDATE of taskruns/status in tekton.dev/v1 for " + name
	}
	return ""
}

// selects reports whether a namespaceSelector matches by the opt-in label and nothing else.
func selects(s *metav1.LabelSelector, optedIn metav1.LabelSelectorOperator) bool {
	if s == nil || len(s.MatchLabels) > 0 || len(s.MatchExpressions) != 1 {
		return false
	}
	e := s.MatchExpressions[0]
	return e.Key == result.EnabledKey && e.Operator == optedIn && slices.Equal(e.Values, []string{result.Enabled})
}

// isFail: an absent failurePolicy means Fail.
func isFail(p *admissionv1.FailurePolicyType) bool { return p == nil || *p == admissionv1.Fail }

func isEmpty(s *metav1.LabelSelector) bool {
	return s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// covers reports whether a rule matches each update of taskruns/status in tekton.dev/v1.
func covers(r admissionv1.RuleWithOperations) bool {
	return hasAny(r.APIGroups, "tekton.dev", "*") &&
		hasAny(r.APIVersions, "v1", "*") &&
		hasAny(r.Operations, admissionv1.Update, admissionv1.OperationAll) &&
		hasAny(r.Resources, "taskruns/status", "taskruns/*", "*/status", "*/*") &&
		(r.Scope == nil || *r.Scope != admissionv1.ClusterScope)
}

func hasAny[T comparable](list []T, wanted ...T) bool {
	return slices.ContainsFunc(list, func(t T) bool { return slices.Contains(wanted, t) })
}
