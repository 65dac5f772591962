package oracle

import (
	"context"
	"os"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/result"
)

// policy is the ValidatingAdmissionPolicy of config/policy, evaluated by the API server's own code
// with its own budget. Which requests it is evaluated for (matchConstraints) is not decided here:
// that takes an API server (test/e2e).
type policy struct{ validating.Validator }

var (
	taskRunKind = schema.GroupVersionKind{Group: "tekton.dev", Version: "v1", Kind: "TaskRun"}
	taskRuns    = schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "taskruns"}
)

// loadPolicy compiles the policy as compilePolicy does
// (k8s.io/apiserver/pkg/admission/plugin/policy/validating).
func loadPolicy(t testing.TB) policy {
	t.Helper()
	text, err := os.ReadFile("../../config/policy/10-policy.yaml")
	must(t, err)
	var p admissionregistrationv1.ValidatingAdmissionPolicy
	must(t, yaml.UnmarshalStrict(text, &p))
	if len(p.Spec.MatchConditions) > 0 || len(p.Spec.AuditAnnotations) > 0 || p.Spec.ParamKind != nil {
		t.Fatal("the policy uses what is not compiled here")
	}
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	must(t, err)
	variables := make([]cel.NamedExpressionAccessor, len(p.Spec.Variables))
	for i, v := range p.Spec.Variables {
		variables[i] = &validating.Variable{Name: v.Name, Expression: v.Expression}
	}
	with := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	compiler.CompileAndStoreVariables(variables, with, environment.StoredExpressions)
	validations := make([]cel.ExpressionAccessor, len(p.Spec.Validations))
	for i, v := range p.Spec.Validations {
		validations[i] = &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason}
	}
	none := compiler.CompileCondition(nil, cel.OptionalVariableDeclarations{}, environment.StoredExpressions)
	conditions := compiler.CompileCondition(validations, with, environment.StoredExpressions)
	for _, err := range conditions.CompilationErrors() {
		must(t, err)
	}
	return policy{validating.NewValidator(conditions, nil, none, none, p.Spec.FailurePolicy, nil)}
}

// denies returns the message of the first validation that denies that new be stored over old, "" if
// none does. requestVersion is the API version the request was made in.
func (p policy) denies(who authenticationv1.UserInfo, requestVersion string, old, new map[string]any) string {
	info := &user.DefaultInfo{Name: who.Username, UID: who.UID, Groups: who.Groups, Extra: map[string][]string{}}
	for key, values := range who.Extra {
		info.Extra[key] = values
	}
	kind, resource := taskRunKind, taskRuns
	kind.Version, resource.Version = requestVersion, requestVersion
	before, after := &unstructured.Unstructured{Object: old}, &unstructured.Unstructured{Object: new}
	attributes := &admission.VersionedAttributes{
		Attributes: admission.NewAttributesRecord(after, before, kind, "team", "run", resource, "status",
			admission.Update,
			&metav1.UpdateOptions{}, false, info),
		VersionedKind: taskRunKind,
	}
	attributes.VersionedObject.Set(after)
	attributes.VersionedOldObject.Set(before)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team",
		Labels: map[string]string{result.EnabledKey: result.Enabled}}}
	outcome := p.Validate(context.Background(), taskRuns, attributes, nil, namespace,
		celconfig.RuntimeCELCostBudget, nil)
	for _, d := range outcome.Decisions {
		if d.Action == validating.ActionDeny {
			return d.Message
		}
	}
	return ""
}
