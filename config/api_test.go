package manifests_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// object finds a rendered object.
func object(t *testing.T, rendered, kind, namespace, name string, into any) bool {
	t.Helper()
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		var o struct {
			Kind     string `json:"kind"`
			Metadata struct{ Namespace, Name string }
		}
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		if o.Kind != kind || o.Metadata.Namespace != namespace || o.Metadata.Name != name {
			continue
		}
		if err := yaml.Unmarshal([]byte(document), into); err != nil {
			t.Fatal(err)
		}
		return true
	}
	return false
}

// The Service leads to a port of the Deployment that serves, and so does the network policy, in
// both installations.
func TestAPIIsReached(t *testing.T) {
	for folder, deployment := range map[string]string{"default": "indelible-archiver",
		"overlays/api": "indelible-api"} {
		t.Run(folder, func(t *testing.T) {
			rendered := render(t, folder)
			var d appsv1.Deployment
			var s corev1.Service
			var binding rbacv1.ClusterRoleBinding
			var policy networkingv1.NetworkPolicy
			if !object(t, rendered, "Deployment", "indelible-system", deployment, &d) ||
				!object(t, rendered, "Service", "indelible-system", "indelible-api", &s) {
				t.Fatal("no Deployment, or no Service")
			}
			read(t, "components/network-policy/api.yaml", &policy)
			pod := d.Spec.Template
			for _, selector := range []map[string]string{s.Spec.Selector, policy.Spec.PodSelector.MatchLabels} {
				for key, value := range selector {
					if pod.Labels[key] != value {
						t.Errorf("selects %s=%s, the pods have %v", key, value, pod.Labels)
					}
				}
			}
			named := func(name string) bool {
				return slices.ContainsFunc(pod.Spec.Containers[0].Ports,
					func(p corev1.ContainerPort) bool { return p.Name == name })
			}
			if s.Spec.Ports[0].Port != 8080 || !named(s.Spec.Ports[0].TargetPort.StrVal) ||
				!named(policy.Spec.Ingress[0].Ports[0].Port.StrVal) {
				t.Errorf("ports %v lead to none of %v", s.Spec.Ports, pod.Spec.Containers[0].Ports)
			}
			found := false
			for _, name := range []string{"indelible-archiver-api", "indelible-api-reviews"} {
				found = found || object(t, rendered, "ClusterRoleBinding", "", name, &binding)
			}
			if !found || binding.RoleRef.Name != "system:auth-delegator" ||
				binding.Subjects[0].Name != pod.Spec.ServiceAccountName {
				t.Errorf("cannot ask who a token is: %+v", binding)
			}
			if embedded := strings.Contains(rendered,
				"--api-address=:8082"); embedded != (deployment == "indelible-archiver") {
				t.Errorf("the archiver serves as well: %v", embedded)
			}
			object(t, rendered, "ClusterRole", "", "indelible-results-readonly", &rbacv1.ClusterRole{})
		})
	}
}

// The API's rights, listed here once more: one more is to be noticed.
func TestAPIMayDoNoMore(t *testing.T) {
	want := []rbacv1.PolicyRule{
		{
			APIGroups: []string{"tekton.dev"}, Resources: []string{"taskruns", "pipelineruns"},
			Verbs: []string{"get", "list"},
		},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		{
			APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{"kube-system"},
			Verbs: []string{"get"},
		},
	}
	var role rbacv1.ClusterRole
	if !object(t, read(t, "components/api/rbac.yaml", nil), "ClusterRole", "", "indelible-api", &role) {
		t.Fatal("no role")
	}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Error(diff)
	}
}

// Whoever may view a namespace may read its history, and nobody may write it by that.
func TestRolesOfReaders(t *testing.T) {
	for document := range strings.SplitSeq(read(t, "components/api-roles/roles.yaml", nil), "\n---\n") {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			t.Fatal(err)
		}
		for label := range role.Labels {
			if aggregated := strings.Contains(label, "aggregate-to-"); aggregated &&
				!slices.Equal(role.Rules[0].Verbs, []string{"get", "list"}) {
				t.Errorf("%s: %s gives %q", role.Name, label, role.Rules[0].Verbs)
			}
		}
	}
}

func TestAPIByTektonsName(t *testing.T) {
	rendered := render(t, overlay(t, `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
sortOptions: {order: fifo}
resources: [HERE/default]
components: [HERE/components/api-tekton-names]
`))
	var named, own corev1.Service
	if !object(t, rendered, "Service", "tekton-pipelines", "tekton-results-api-service", &named) ||
		!object(t, rendered, "Service", "indelible-system", "indelible-api", &own) {
		t.Fatal("no Service of that name")
	}
	if named.Spec.ExternalName != own.Name+"."+own.Namespace+".svc.cluster.local" ||
		named.Spec.Ports[0].Port != own.Spec.Ports[0].Port {
		t.Errorf("leads to %s, ports %v", named.Spec.ExternalName, named.Spec.Ports)
	}
}

func TestAPIDeployment(t *testing.T) {
	var d appsv1.Deployment
	read(t, "components/api/deployment.yaml", &d)
	pod, c := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
	if s := c.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation ||
		!*pod.SecurityContext.RunAsNonRoot ||
		!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) ||
		pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Error("the container has more rights than it needs")
	}
	if want := []string{"run", "--config=/etc/indelible/config.yaml"}; !slices.Equal(c.Args, want) {
		t.Errorf("arguments %q, want %q", c.Args, want)
	}
	if c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/healthz" {
		t.Error("its health is asked for elsewhere")
	}
	for _, volume := range pod.Volumes {
		if volume.PersistentVolumeClaim != nil {
			t.Error("replicas share a volume")
		}
	}
}
