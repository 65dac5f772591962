package selfcheck

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/indelible-ci/indelible/pkg/config"
	"github.com/indelible-ci/indelible/pkg/preflight"
)

// Finding is what one look at the grant and at what guards it found.
type Finding struct {
	granted bool
	gaps    []gap
	// running is who Tekton's controller is; strangers are the pieces that trust somebody else instead. Where
	// it could not be found out, the rest stands.
	unknown   bool
	running   []string
	strangers []gap
	// settings are those that are not the webhook's.
	settings []gap
	// leaking: every service account may patch taskruns/status, and not all may get TaskRuns.
	leaking bool
	// usual: the controller has the name of Tekton's own manifests, and with it those in this repository.
	usual bool
}

// unguarded returns the gaps that matter: without a grant none does.
func (f *Finding) unguarded() []gap {
	if !f.granted {
		return nil
	}
	return f.gaps
}

func (f *Finding) problems() map[Topic]string {
	found := map[Topic]string{
		Grant:     adviseGrant(f.unguarded(), f.usual),
		Settings:  adviseSettings(f.settings),
		GroupLeak: adviseGroupLeak(f.leaking),
	}
	if !f.unknown {
		found[Controller] = adviseController(f.running, f.strangers)
	}
	return found
}

func (f *Finding) measure(m *Metrics, began time.Time) {
	m.foundGaps(m.unguarded, f.unguarded())
	m.foundGaps(m.settings, f.settings)
	m.leaks.WithLabelValues(leakOfGroup).Set(number(f.leaking))
	if f.unknown {
		return
	}
	m.foundGaps(m.strangers, f.strangers)
	m.looked.Set(seconds(began))
}

// Inspect looks at the grant, at each piece that guards it, and at whom they trust. It returns an error if
// something could not be read: an object that does not exist is a finding, an API server that does not answer
// is none. What was found all the same is returned with the error, nil if nothing was.
func Inspect(ctx context.Context, client kubernetes.Interface, expected Expected) (*Finding, error) {
	found := &Finding{usual: slices.Equal(expected.Controllers, []string{config.DefaultController})}
	var err error
	if found.granted, err = isGranted(ctx, client); err != nil {
		return nil, err
	}
	if found.leaking, err = isGroupLeak(ctx, client); err != nil {
		return nil, err
	}
	var namings []naming
	for _, p := range pieces() {
		seen, err := look(ctx, client, p, expected)
		if apierrors.IsNotFound(err) {
			seen, err = piecewise{why: "does not exist"}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", p, err)
		}
		if seen.why != "" {
			found.gaps = append(found.gaps, gap{p, seen.why})
		}
		if seen.limit != "" {
			found.settings = append(found.settings, gap{p, seen.limit})
		}
		if seen.names {
			namings = append(namings, naming{p, seen.named})
		}
	}
	found.settings = append(found.settings, checkSettings(expected, namings)...)
	found.running, err = preflight.Running(ctx, client)
	found.unknown = err != nil
	found.strangers = checkController(found.running, expected, namings)
	return found, err
}

// piecewise is what is to be said of one piece.
type piecewise struct {
	why   string     // what keeps it from guarding
	limit string     // what it allows less of than the webhook
	names bool       // it says who Tekton's controller is
	named [][]string // who that is, in each place
}

// look reads one piece.
func look(ctx context.Context, client kubernetes.Interface, p piece, expected Expected) (piecewise, error) {
	api := client.AdmissionregistrationV1()
	switch p.kind {
	case kindGuard:
		c, err := api.MutatingWebhookConfigurations().Get(ctx, p.name, metav1.GetOptions{})
		if err != nil {
			return piecewise{}, err
		}
		return piecewise{why: checkGuard(c), names: true, named: preflight.NamedByGuard(c)}, nil
	case kindPolicy:
		c, err := api.ValidatingAdmissionPolicies().Get(ctx, p.name, metav1.GetOptions{})
		if err != nil {
			return piecewise{}, err
		}
		return piecewise{
			why: checkPolicy(c), limit: checkLimit(expected, c), names: true, named: preflight.NamedByPolicy(c),
		}, nil
	}
	c, err := api.ValidatingAdmissionPolicyBindings().Get(ctx, p.name, metav1.GetOptions{})
	if err != nil {
		return piecewise{}, err
	}
	return piecewise{why: checkBinding(c)}, nil
}

// isGranted reports whether service accounts may write TaskRun statuses: all of them in all namespaces, or those of
// some namespace.
func isGranted(ctx context.Context, client kubernetes.Interface) (bool, error) {
	// update is what config/rbac grants; patch would open the same door.
	for _, verb := range []string{"update", "patch"} {
		may, err := mayDo(ctx, client, verb, "status")
		if err != nil || may {
			return may, err
		}
	}
	return isGrantedSomewhere(ctx, client)
}

// isGroupLeak reports whether every service account may patch taskruns/status without being allowed to read
// TaskRuns. A patch that cannot be decoded is answered, before any admission, with the object it was to change.
func isGroupLeak(ctx context.Context, client kubernetes.Interface) (bool, error) {
	patches, err := mayDo(ctx, client, "patch", "status")
	if err != nil || !patches {
		return false, err
	}
	reads, err := mayDo(ctx, client, "get", "")
	return !reads, err
}

// mayDo asks whether the webhook's own service account may do something to all TaskRuns. It has no such right
// of its own: if it may, service accounts in general may. Everybody may ask that about themselves
// (system:basic-user), and it counts whatever authorizer and binding the answer comes from.
func mayDo(ctx context.Context, client kubernetes.Interface, verb, subresource string) (bool, error) {
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Group: "tekton.dev", Version: "v1", Resource: "taskruns", Subresource: subresource,
			Namespace: metav1.NamespaceAll,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		what := path.Join("taskruns", subresource)
		return false, fmt.Errorf("asking whether service accounts may %s %s: %w", verb, what, err)
	}
	return review.Status.Allowed, nil
}

// isGrantedSomewhere looks for grants in single namespaces. Listing by name needs the right to that name only,
// and is one request whatever the number of namespaces. Bindings that are left over when the ClusterRole is
// gone grant nothing.
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
