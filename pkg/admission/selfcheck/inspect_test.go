package selfcheck

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// installation is what an API server holds, as far as Inspect asks.
type installation struct {
	may   string // the verb on taskruns/status that all service accounts have, "" for none
	reads bool   // all service accounts may get TaskRuns
	pods  string // what the other policies say of Tekton's controller, "" for what all say
	// Tekton's controller, and what is named like it
	workloads []runtime.Object
	guard     *admissionv1.MutatingWebhookConfiguration
	// indelible-results; other policies are always complete
	policy   *admissionv1.ValidatingAdmissionPolicy
	binding  *admissionv1.ValidatingAdmissionPolicyBinding
	role     *rbacv1.ClusterRole
	bindings []rbacv1.RoleBinding
	broken   string // the resource that cannot be read
}

// complete is the installation of config/default, as the API server defaults it.
func complete() *installation {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	fail := admissionv1.Fail
	return &installation{
		may:       "update",
		workloads: []runtime.Object{controllerIn("tekton-pipelines")},
		guard: &admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta("indelible-guard"),
			Webhooks: []admissionv1.MutatingWebhook{
				{Name: "carry-over.indelible.dev"},
				guardWebhookFor("guard.indelible.dev", metav1.LabelSelectorOpIn),
				guardWebhookFor("guard-elsewhere.indelible.dev", metav1.LabelSelectorOpNotIn),
			}},
		policy: &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta("indelible-results"),
			Spec: admissionv1.ValidatingAdmissionPolicySpec{FailurePolicy: &fail,
				Variables: []admissionv1.Variable{{Name: "controllers", Expression: named("tekton-pipelines")},
					{Name: "maxBytes", Expression: "1310720"}}}},
		binding: &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta("indelible-results"),
			Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: "indelible-results", ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}},
		role: &rbacv1.ClusterRole{ObjectMeta: meta("indelible-publish-results")},
	}
}

func userIn(namespace string) string {
	return "system:serviceaccount:" + namespace + ":tekton-pipelines-controller"
}

// named is what config/transformers/controller writes into an expression.
func named(namespaces ...string) string {
	var users []string
	for _, n := range namespaces {
		users = append(users, userIn(n))
	}
	return "'" + strings.Join(users, " ") + "'.split(' ')"
}

// expected is the webhook's configuration by default.
var expected = Expected{Controllers: []string{userIn("tekton-pipelines")}, TaskRunLimit: 1310720}

// controllerIn is Tekton's controller as its own manifests have it, in a namespace.
func controllerIn(namespace string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tekton-pipelines-controller", Labels: map[string]string{
			"app.kubernetes.io/part-of": "tekton-pipelines", "app.kubernetes.io/component": "controller"}},
		Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{ServiceAccountName: "tekton-pipelines-controller"}}},
	}
}

func guardWebhookFor(name string, optedIn metav1.LabelSelectorOperator) admissionv1.MutatingWebhook {
	fail, equivalent := admissionv1.Fail, admissionv1.Equivalent
	return admissionv1.MutatingWebhook{Name: name, FailurePolicy: &fail, MatchPolicy: &equivalent,
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "indelible.dev/results", Operator: optedIn, Values: []string{"enabled"}}}},
		ObjectSelector: &metav1.LabelSelector{},
		MatchConditions: []admissionv1.MatchCondition{{Expression: "!(request.userInfo.username in " +
			named("tekton-pipelines") + ") || has(oldObject.status)"}},
		Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"UPDATE"}, Rule: admissionv1.Rule{
			APIGroups: []string{"tekton.dev"}, APIVersions: []string{"v1"}, Resources: []string{"taskruns/status"}}}}}
}

// inNamespaces is the grant of config/components/namespaced-grant.
func inNamespaces() *installation {
	i := complete()
	i.may = ""
	i.bindings = []rbacv1.RoleBinding{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "indelible-publish-results"},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "indelible-publish-results"},
		Subjects:   []rbacv1.Subject{{Kind: "Group", Name: "system:serviceaccounts:team"}},
	}}
	return i
}

func (i *installation) client(t *testing.T) *fake.Clientset {
	t.Helper()
	objects := slices.Clone(i.workloads)
	if i.guard != nil {
		objects = append(objects, i.guard)
	}
	if i.policy != nil {
		objects = append(objects, i.policy)
	}
	if i.binding != nil {
		objects = append(objects, i.binding)
	}
	if i.role != nil {
		objects = append(objects, i.role)
	}
	for _, b := range i.bindings {
		objects = append(objects, &b)
	}
	for _, name := range Policies {
		if name != "indelible-results" {
			policy, binding := complete().policy, complete().binding
			policy.Name, binding.Name, binding.Spec.PolicyName = name, name, name
			policy.Spec.Variables = []admissionv1.Variable{{Name: "c", Expression: cmp.Or(i.pods, named("tekton-pipelines"))}}
			objects = append(objects, policy, binding)
		}
	}
	client := fake.NewClientset(objects...)
	client.PrependReactor("create", "selfsubjectaccessreviews",
		func(action clienttesting.Action) (bool, runtime.Object, error) {
			review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
			a := review.Spec.ResourceAttributes
			isRead := a.Verb == "get" && a.Subresource == ""
			if a.Group != "tekton.dev" || a.Resource != "taskruns" || !isRead && a.Subresource != "status" ||
				a.Namespace != "" || a.Name != "" {
				t.Errorf("asked about %+v, want all of taskruns/status, or reading all TaskRuns", a)
			}
			review.Status.Allowed = isRead && i.reads || !isRead && a.Verb == i.may
			return true, review, nil
		})
	if i.broken != "" {
		client.PrependReactor("*", i.broken, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("connection refused")
		})
	}
	return client
}

func TestInspect(t *testing.T) {
	ignore, exact := admissionv1.Ignore, admissionv1.Exact
	guard := func(change func(*admissionv1.MutatingWebhook)) func(*installation) {
		return func(i *installation) { change(&i.guard.Webhooks[1]) }
	}
	tests := []struct {
		name   string
		from   func() *installation
		change func(*installation)
		want   []string // "kind/name why", none if all is well
	}{
		{name: "finds nothing wrong with a complete installation"},
		{name: "finds nothing wrong where nothing is granted", change: func(i *installation) { *i = installation{} }},
		{name: "finds nothing wrong where the grant was taken away and its locks after it",
			change: func(i *installation) { i.may, i.role, i.guard, i.policy, i.binding = "", nil, nil, nil, nil }},
		{name: "misses everything under a grant that is left alone",
			change: func(i *installation) { i.guard, i.policy, i.binding = nil, nil, nil },
			want: []string{"MutatingWebhookConfiguration/indelible-guard does not exist",
				"ValidatingAdmissionPolicy/indelible-results does not exist",
				"ValidatingAdmissionPolicyBinding/indelible-results does not exist"}},
		{name: "misses the guard under a grant of patch", change: func(i *installation) { i.may, i.guard = "patch", nil },
			want: []string{"MutatingWebhookConfiguration/indelible-guard does not exist"}},
		{name: "misses the policy under a grant in one namespace", from: inNamespaces,
			change: func(i *installation) { i.policy = nil },
			want:   []string{"ValidatingAdmissionPolicy/indelible-results does not exist"}},
		{name: "finds nothing wrong with leftover bindings to a ClusterRole that is gone", from: inNamespaces,
			change: func(i *installation) { i.policy, i.role = nil, nil }},
		{name: "finds nothing wrong with a binding of that name to another role", from: inNamespaces,
			change: func(i *installation) { i.policy, i.bindings[0].RoleRef.Name = nil, "view" }},
		{name: "finds nothing wrong with a binding of that name to nobody", from: inNamespaces,
			change: func(i *installation) { i.policy, i.bindings[0].Subjects = nil, nil }},
		{name: "takes an absent failure policy for Fail", change: func(i *installation) {
			i.guard.Webhooks[1].FailurePolicy, i.guard.Webhooks[1].MatchPolicy, i.policy.Spec.FailurePolicy = nil, nil, nil
		}},
		{name: "takes a rule for everything as one that covers", change: guard(func(w *admissionv1.MutatingWebhook) {
			w.Rules = []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"*"}, Rule: admissionv1.Rule{
				APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}}}}
		})},
		{name: "misses a webhook that was taken out of the configuration",
			change: func(i *installation) { i.guard.Webhooks = i.guard.Webhooks[:1] },
			want:   []string{"MutatingWebhookConfiguration/indelible-guard has no webhook guard.indelible.dev"}},
		{name: "misses a guard that may be skipped",
			change: guard(func(w *admissionv1.MutatingWebhook) { w.FailurePolicy = &ignore }),
			want: []string{"MutatingWebhookConfiguration/indelible-guard has failurePolicy Ignore for guard.indelible.dev, " +
				"not Fail"}},
		{name: "misses a guard that v1beta1 passes by",
			change: guard(func(w *admissionv1.MutatingWebhook) { w.MatchPolicy = &exact }),
			want: []string{"MutatingWebhookConfiguration/indelible-guard has matchPolicy Exact for guard.indelible.dev, not " +
				"Equivalent"}},
		{name: "misses a guard of chosen TaskRuns only",
			change: guard(func(w *admissionv1.MutatingWebhook) { w.ObjectSelector.MatchLabels = map[string]string{"a": "b"} }),
			want:   []string{"MutatingWebhookConfiguration/indelible-guard has an objectSelector for guard.indelible.dev"}},
		{name: "misses a guard of TaskRuns but not their status",
			change: guard(func(w *admissionv1.MutatingWebhook) { w.Rules[0].Resources = []string{"taskruns"} }),
			want: []string{"MutatingWebhookConfiguration/indelible-guard has no rule for UPDATE of taskruns/status in " +
				"tekton.dev/v1 for guard.indelible.dev"}},
		{name: "misses a guard of creations only",
			change: guard(func(w *admissionv1.MutatingWebhook) { w.Rules[0].Operations = []admissionv1.OperationType{"CREATE"} }),
			want: []string{"MutatingWebhookConfiguration/indelible-guard has no rule for UPDATE of taskruns/status in " +
				"tekton.dev/v1 for guard.indelible.dev"}},
		{name: "misses the guard of namespaces that have not opted in",
			change: func(i *installation) { i.guard.Webhooks = i.guard.Webhooks[:2] },
			want:   []string{"MutatingWebhookConfiguration/indelible-guard has no webhook guard-elsewhere.indelible.dev"}},
		{name: "misses one of these that may be skipped",
			change: func(i *installation) { i.guard.Webhooks[2].FailurePolicy = &ignore },
			want: []string{"MutatingWebhookConfiguration/indelible-guard has failurePolicy Ignore for " +
				"guard-elsewhere.indelible.dev, not Fail"}},
		{name: "misses a guard of chosen namespaces only", change: guard(func(w *admissionv1.MutatingWebhook) {
			w.NamespaceSelector.MatchLabels = map[string]string{"team": "one"}
		}),
			want: []string{"MutatingWebhookConfiguration/indelible-guard has a namespaceSelector for guard.indelible.dev that " +
				"is not indelible.dev/results In (enabled)"}},
		{name: "misses a guard that leaves a namespace to none of the two", change: func(i *installation) {
			i.guard.Webhooks[2].NamespaceSelector.MatchExpressions[0].Values = []string{"enabled", "disabled"}
		}, want: []string{"MutatingWebhookConfiguration/indelible-guard has a namespaceSelector for " +
			"guard-elsewhere.indelible.dev that is not indelible.dev/results NotIn (enabled)"}},
		{name: "misses a policy that may be skipped", change: func(i *installation) { i.policy.Spec.FailurePolicy = &ignore },
			want: []string{"ValidatingAdmissionPolicy/indelible-results has failurePolicy Ignore, not Fail"}},
		{name: "misses a binding that only warns", change: func(i *installation) {
			i.binding.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Warn, admissionv1.Audit}
		}, want: []string{"ValidatingAdmissionPolicyBinding/indelible-results has validationActions [Warn Audit], without " +
			"Deny"}},
		{name: "misses a binding of another policy", change: func(i *installation) { i.binding.Spec.PolicyName = "theirs" },
			want: []string{`ValidatingAdmissionPolicyBinding/indelible-results binds "theirs", not "indelible-results"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := complete()
			if tt.from != nil {
				i = tt.from()
			}
			if tt.change != nil {
				tt.change(i)
			}
			found, err := Inspect(context.Background(), i.client(t), expected)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, g := range found.unguarded() {
				got = append(got, g.piece.String()+" "+g.why)
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestInspectSaysWhatItCouldNotRead(t *testing.T) {
	for resource, want := range map[string]string{
		"selfsubjectaccessreviews":          "whether service accounts may update taskruns/status",
		"mutatingwebhookconfigurations":     "MutatingWebhookConfiguration/indelible-guard",
		"validatingadmissionpolicies":       "ValidatingAdmissionPolicy/indelible-results",
		"validatingadmissionpolicybindings": "ValidatingAdmissionPolicyBinding/indelible-results",
		"deployments":                       "Deployments named tekton-pipelines-controller",
		"statefulsets":                      "StatefulSets named tekton-pipelines-controller",
	} {
		i := complete()
		i.broken = resource
		if _, err := Inspect(context.Background(), i.client(t), expected); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s cannot be read: got %v, want an error with %q", resource, err, want)
		}
	}
	for resource, want := range map[string]string{"clusterroles": "ClusterRole indelible-publish-results",
		"rolebindings": "RoleBindings named indelible-publish-results"} {
		i := inNamespaces()
		i.broken = resource
		if _, err := Inspect(context.Background(), i.client(t), expected); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s cannot be read: got %v, want an error with %q", resource, err, want)
		}
	}
}
