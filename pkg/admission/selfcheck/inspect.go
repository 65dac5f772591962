package selfcheck

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
)

// Finding is what one look at the API server found.
type Finding struct {
	granted bool
	gaps    []gap
}

// unguarded returns the gaps that matter: without a grant none does.
func (f Finding) unguarded() []gap {
	if !f.granted {
		return nil
	}
	return f.gaps
}

// Inspect looks at the grant, and if there is one, at each piece that guards it. It returns an error if one of them
// could not be read: an object that does not exist is a finding, an API server that does not answer is none.
func Inspect(ctx context.Context, client kubernetes.Interface) (Finding, error) {
	granted, err := isGranted(ctx, client)
	if err != nil || !granted {
		return Finding{}, err
	}
	found := Finding{granted: true}
	for _, p := range pieces() {
		why, err := look(ctx, client, p)
		if apierrors.IsNotFound(err) {
			why, err = "does not exist", nil
		}
		if err != nil {
			return Finding{}, fmt.Errorf("reading %s: %w", p, err)
		}
		if why != "" {
			found.gaps = append(found.gaps, gap{p, why})
		}
	}
	return found, nil
}

// look reads one piece and returns what is wrong with it.
func look(ctx context.Context, client kubernetes.Interface, p piece) (string, error) {
	api := client.AdmissionregistrationV1()
	switch p.kind {
	case kindGuard:
		c, err := api.MutatingWebhookConfigurations().Get(ctx, p.name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return checkGuard(c), nil
	case kindPolicy:
		c, err := api.ValidatingAdmissionPolicies().Get(ctx, p.name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return checkPolicy(c), nil
	}
	c, err := api.ValidatingAdmissionPolicyBindings().Get(ctx, p.name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return checkBinding(c), nil
}

// isGranted reports whether service accounts may write TaskRun statuses: all of them in all namespaces, or those of
// some namespace.
func isGranted(ctx context.Context, client kubernetes.Interface) (bool, error) {
	// patch is what config/rbac grants; update would open the same door.
	for _, verb := range []string{"patch", "update"} {
		may, err := mayWriteStatuses(ctx, client, verb)
		if err != nil || may {
			return may, err
		}
	}
	return isGrantedSomewhere(ctx, client)
}

// mayWriteStatuses asks whether the webhook's own service account may write the status of any TaskRun anywhere. It has
// no such right of its own: if it may, service accounts in general may. Everybody may ask that about themselves
// (system:basic-user), and it counts whatever authorizer and binding the answer comes from.
func mayWriteStatuses(ctx context.Context, client kubernetes.Interface, verb string) (bool, error) {
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Group: "tekton.dev", Version: "v1", Resource: "taskruns", Subresource: "status", Namespace: metav1.NamespaceAll,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking whether service accounts may %s taskruns/status: %w", verb, err)
	}
	return review.Status.Allowed, nil
}

// isGrantedSomewhere looks for grants in single namespaces. Listing by name needs the right to that name only, and is
// one request whatever the number of namespaces. Bindings that are left over when the ClusterRole is gone grant nothing.
func isGrantedSomewhere(ctx context.Context, client kubernetes.Interface) (bool, error) {
	_, err := client.RbacV1().ClusterRoles().Get(ctx, grantName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading ClusterRole %s: %w", grantName, err)
	}
	list, err := client.RbacV1().RoleBindings(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, grantName).String(),
		ResourceVersion: "0", // the API server's cache will do
	})
	if err != nil {
		return false, fmt.Errorf("listing RoleBindings named %s: %w", grantName, err)
	}
	return bindsGrant(list.Items), nil
}

func bindsGrant(bindings []rbacv1.RoleBinding) bool {
	for _, b := range bindings {
		if b.RoleRef.Kind == "ClusterRole" && b.RoleRef.Name == grantName && len(b.Subjects) > 0 {
			return true
		}
	}
	return false
}
