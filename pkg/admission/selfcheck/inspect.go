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

// Finding is the result of one check of the grant and its guards.
type Finding struct {
	granted bool
	gaps    []gap
	// running is who Tekton's controller runs as; strangers are the pieces that trust somebody
	// else. unknown is set if that could not be determined; the rest is valid then.
	unknown   bool
	running   []string
	strangers []gap
	// settings are pieces whose settings differ from the webhook's.
	settings []gap
	// leaking: every service account may patch taskruns/status, but not every one may get TaskRuns.
	leaking bool
	// usual: the controller has the name it has in Tekton's and this repository's manifests.
	usual bool
}

// unguarded returns the gaps if there is a grant; without one they do not matter.
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

// Inspect checks the grant, each piece that guards it, and whom the pieces trust. It returns an
// error if something could not be read; a missing object is a finding, an API server that does not
// answer is not. A partial result is returned with the error, nil if there is none.
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

// piecewise is what was found about one piece.
type piecewise struct {
	why   string     // why it does not guard
	limit string     // a limit lower than the webhook's
	names bool       // it names Tekton's controller
	named [][]string // the names, per place
}

// look reads and checks one piece.
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

// isGranted reports whether service accounts may write TaskRun statuses: all of them in all
// namespaces, or in single namespaces.
func isGranted(ctx context.Context, client kubernetes.Interface) (bool, error) {
	// config/rbac grants update; patch would grant as much.
	for _, verb := range []string{"update", "patch"} {
		may, err := mayDo(ctx, client, verb, "status")
		if err != nil || may {
			return may, err
		}
	}
	return isGrantedSomewhere(ctx, client)
}

// isGroupLeak reports whether every service account may patch taskruns/status without being allowed
// to read TaskRuns. A patch that cannot be decoded is answered, before any admission, with the
// object.
func isGroupLeak(ctx context.Context, client kubernetes.Interface) (bool, error) {
	patches, err := mayDo(ctx, client, "patch", "status")
	if err != nil || !patches {
		return false, err
	}
	reads, err := mayDo(ctx, client, "get", "")
	return !reads, err
}

// mayDo asks whether the webhook's own service account may do something to all TaskRuns. It has no
// such right of its own, so if it may, service accounts in general may. Everybody may ask this
// about themselves (system:basic-user), and the answer covers all authorizers and bindings.
func mayDo(ctx context.Context, client kubernetes.Interface, verb, subresource string) (bool, error) {
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx,
		&authorizationv1.SelfSubjectAccessReview{
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

// isGrantedSomewhere looks for grants in single namespaces. Listing by name needs the right to that
// name only, and is one request for all namespaces. Bindings left over after the ClusterRole was
// deleted grant nothing.
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
		ResourceVersion: "0", // the API server's cache is good enough
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
