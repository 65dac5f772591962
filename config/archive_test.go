package manifests_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/config"
)

// Everything that is archived is protected at its creation, in whatever version it is created.
func TestProtectedIsWhatIsArchived(t *testing.T) {
	protect := webhooks(t)["protect.indelible.dev"]
	var protected, archived []string
	for _, rule := range protect.Rules {
		if !slices.Equal(rule.Operations, []admissionv1.OperationType{admissionv1.Create}) {
			t.Errorf("called for %v", rule.Operations)
		}
		for _, resource := range rule.Resources {
			protected = append(protected, rule.APIGroups[0]+"/"+rule.APIVersions[0]+" "+resource)
		}
	}
	for _, resource := range run.Resources {
		archived = append(archived, resource.GroupVersion().String()+" "+resource.Resource)
	}
	slices.Sort(protected)
	slices.Sort(archived)
	if diff := cmp.Diff(archived, protected); diff != "" {
		t.Error(diff)
	}
	if *protect.MatchPolicy != admissionv1.Equivalent ||
		*protect.ReinvocationPolicy != admissionv1.NeverReinvocationPolicy || *protect.TimeoutSeconds > 3 {
		t.Errorf("matches %s, is called again %s, may take %d s", *protect.MatchPolicy, *protect.ReinvocationPolicy,
			*protect.TimeoutSeconds)
	}
	if protect.NamespaceSelector != nil || protect.MatchConditions != nil {
		t.Error("some runs are passed over")
	}
	others := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: run.ClassLabel,
		Operator: metav1.LabelSelectorOpDoesNotExist}}}
	if diff := cmp.Diff(&others, protect.ObjectSelector); diff != "" {
		t.Errorf("runs of archivers that may not exist: %s", diff)
	}
}

// The webhook writes its CA into each configuration that leads to it.
func TestCertificatesAreWrittenEverywhere(t *testing.T) {
	var names []string
	for _, path := range []string{"webhook/inject.yaml", "webhook/guard.yaml", "archive/60-protect.yaml"} {
		var c admissionv1.MutatingWebhookConfiguration
		read(t, path, &c)
		names = append(names, c.Name)
	}
	for _, document := range strings.Split(read(t, "base/40-rbac-certificates.yaml", nil), "\n---\n") {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			t.Fatal(err)
		}
		if role.Kind == "ClusterRole" && !slices.Equal(role.Rules[0].ResourceNames, names) {
			t.Errorf("may be written: %q, want %q", role.Rules[0].ResourceNames, names)
		}
	}
}

// The archiver's rights, listed here once more: one more is to be noticed.
func TestArchiverMayDoNoMore(t *testing.T) {
	want := []rbacv1.PolicyRule{
		{APIGroups: []string{"tekton.dev"}, Resources: []string{"taskruns", "pipelineruns", "customruns"},
			Verbs: []string{"get", "list", "watch", "patch", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		{
			APIGroups: []string{""}, Resources: []string{"events"},
			Verbs: []string{"get", "list", "watch", "create", "patch"},
		},
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"},
			ResourceNames: []string{"indelible-archiver"}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
	}
	var got []rbacv1.PolicyRule
	for _, document := range strings.Split(read(t, "archive/20-rbac.yaml", nil), "\n---\n") {
		var role rbacv1.ClusterRole // a Role has the same rules
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			t.Fatal(err)
		}
		got = append(got, role.Rules...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestArchiverDeployment(t *testing.T) {
	var d appsv1.Deployment
	read(t, "archive/50-deployment.yaml", &d)
	pod, c := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
	if *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Error("two archivers may meet in one directory and one SQLite file")
	}
	if s := c.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation ||
		!*pod.SecurityContext.RunAsNonRoot ||
		!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) ||
		pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Error("the container has more rights than it needs")
	}
	if pod.SecurityContext.FSGroup == nil || *pod.SecurityContext.FSGroup != *pod.SecurityContext.RunAsGroup {
		t.Error("cannot write into its volume")
	}
	if want := []string{"run", "--config=/etc/indelible/config.yaml"}; !slices.Equal(c.Args, want) {
		t.Errorf("arguments %q, want %q", c.Args, want)
	}
	if c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/healthz" {
		t.Error("its health is asked for elsewhere")
	}
	for _, source := range c.EnvFrom {
		if source.SecretRef == nil || source.SecretRef.Name != "indelible-archive-credentials" ||
			!*source.SecretRef.Optional {
			t.Errorf("does not start without %+v", source)
		}
	}
}

// By default archive and index are on the volume that outlives the Pod, and the cluster has a name
// the archive takes.
func TestArchiveByDefault(t *testing.T) {
	var d appsv1.Deployment
	var claim corev1.PersistentVolumeClaim
	read(t, "archive/50-deployment.yaml", &d)
	read(t, "archive/30-volume.yaml", &claim)
	volume := ""
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim.Name {
			volume = v.Name
		}
	}
	mounted := ""
	for _, m := range d.Spec.Template.Spec.Containers[0].VolumeMounts {
		if m.Name == volume {
			mounted = m.MountPath
		}
	}
	a := config.Default().Archive
	for _, address := range []string{a.Store, a.Index} {
		if u, err := url.Parse(address); err != nil || mounted == "" || !strings.HasPrefix(u.Path, mounted+"/") {
			t.Errorf("%s is not on the volume mounted at %q", address, mounted)
		}
	}
	if _, err := layout.ParseCluster(a.Cluster); err != nil {
		t.Error(err)
	}
}

// What holds the archive is what `make uninstall` leaves, and its namespace with it.
func TestUninstallKeepsTheArchive(t *testing.T) {
	var kept []string
	for _, path := range []string{
		"base/10-namespace.yaml", "base/20-serviceaccount.yaml", "server/20-deployment.yaml",
		"archive/10-serviceaccount.yaml", "archive/30-volume.yaml", "archive/40-service.yaml",
		"archive/50-deployment.yaml",
		"archive/60-protect.yaml",
	} {
		for _, document := range strings.Split(read(t, path, nil), "\n---\n") {
			var object struct {
				Kind     string `json:"kind"`
				Metadata struct {
					Labels map[string]string `json:"labels"`
				} `json:"metadata"`
			}
			if err := yaml.Unmarshal([]byte(document), &object); err != nil {
				t.Fatal(err)
			}
			if object.Metadata.Labels["indelible.dev/uninstall"] == "keep" {
				kept = append(kept, object.Kind)
			}
		}
	}
	if want := []string{"Namespace", "PersistentVolumeClaim"}; !slices.Equal(kept, want) {
		t.Errorf("kept are %q, want %q", kept, want)
	}
}
