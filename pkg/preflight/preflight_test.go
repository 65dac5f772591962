package preflight

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery/fake"
	clientfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// rendered reads what kubectl would apply of an overlay over config/default.
func rendered(t *testing.T, overlay string) Installation {
	t.Helper()
	folder := t.TempDir()
	here, err := filepath.Abs("../../config")
	if err != nil {
		t.Fatal(err)
	}
	up, err := filepath.Rel(folder, here)
	if err != nil {
		t.Fatal(err)
	}
	text := "resources: [HERE/default]\nsortOptions: {order: fifo}\n" + overlay
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(strings.ReplaceAll(text, "HERE", up)),
		0o600); err != nil {
		t.Fatal(err)
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	i, err := ReadManifests(strings.NewReader(string(manifests)))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

const (
	otherKey = `
configMapGenerator: [{name: indelible-config, namespace: indelible-system, behavior: merge, literals: ["controller=system:serviceaccount:openshift-pipelines:tekton-pipelines-controller"]}]
generatorOptions: {disableNameSuffixHash: true}
`
	transformer = "transformers: [HERE/transformers/controller]\n"
	usual       = "system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"
	openshift   = "system:serviceaccount:openshift-pipelines:tekton-pipelines-controller"
)

func controllerIn(namespace string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tekton-pipelines-controller",
			Labels: map[string]string{
				"app.kubernetes.io/part-of": "tekton-pipelines", "app.kubernetes.io/component": "controller"}},
		Spec: appsv1.DeploymentSpec{
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{ServiceAccountName: "tekton-pipelines-controller"}},
		},
	}
}

// clusterOf is one of Kubernetes 1.36 with these objects.
func clusterOf(objects ...runtime.Object) *clientfake.Clientset {
	c := clientfake.NewClientset(objects...)
	discovery := c.Discovery().(*fake.FakeDiscovery)
	discovery.FakedServerVersion = &version.Info{GitVersion: "v1.36.3"}
	discovery.Resources = []*metav1.APIResourceList{{GroupVersion: "admissionregistration.k8s.io/v1",
		APIResources: []metav1.APIResource{{Name: "validatingadmissionpolicies"}}}}
	return c
}

func old(c *clientfake.Clientset) {
	discovery := c.Discovery().(*fake.FakeDiscovery)
	discovery.FakedServerVersion.GitVersion = "v1.29.4"
	discovery.Resources[0].APIResources = []metav1.APIResource{{Name: "mutatingwebhookconfigurations"}}
}

func flags(namespace, from string) runtime.Object {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "feature-flags"},
		Data: map[string]string{"results-from": from}}
}

func TestCheck(t *testing.T) {
	const forgotten = " takes " + usual + " for Tekton's controller, but the key `controller` of the ConfigMap " +
		"indelible-config says " + openshift +
		": does the overlay list config/transformers/controller?"
	tests := []struct {
		name     string
		overlay  string
		objects  []runtime.Object
		change   func(*clientfake.Clientset)
		refusals []string
		warnings []string
	}{
		{name: "allow what is installed by default, beside Tekton's own manifests",
			objects: []runtime.Object{controllerIn("tekton-pipelines"), flags("tekton-pipelines",
				"termination-message")}},
		{name: "allow another name, where it runs", overlay: otherKey + transformer,
			objects: []runtime.Object{controllerIn("openshift-pipelines")}},
		{name: "allow it beside a look-alike", objects: []runtime.Object{controllerIn("mallory"),
			controllerIn("tekton-pipelines")}},
		{
			name:    "forbid the usual name where another runs",
			objects: []runtime.Object{controllerIn("openshift-pipelines")},
			refusals: []string{"Tekton's controller here is " + openshift + ", but " + usual +
				" would be installed as its " +
				"name: no TaskRun of the cluster would start or end. " +
				"Run with CONTROLLER=" + openshift +
				", or use an overlay with that key `controller` (docs/operations.md)"}},
		{name: "forbid another name in half of the places", overlay: otherKey,
			objects: []runtime.Object{controllerIn("openshift-pipelines")},
			refusals: []string{"ValidatingAdmissionPolicy/indelible-results" + forgotten,
				"ValidatingAdmissionPolicy/indelible-pods" + forgotten, "MutatingWebhookConfiguration/indelible-guard" +
					forgotten}},
		{name: "warn where no controller is found", warnings: []string{"no Deployment or StatefulSet " +
			"tekton-pipelines-controller of Tekton's runs here, so whether " + usual +
			" is its controller is unknown. If Tekton's controller has another name, set CONTROLLER"}},
		{name: "warn of sidecar logs",
			objects: []runtime.Object{controllerIn("tekton-pipelines"), flags("tekton-pipelines",
				"sidecar-logs")},
			warnings: []string{"Tekton takes results from sidecar logs here (results-from in ConfigMap feature-flags of " +
				"tekton-pipelines): pods are left alone, " +
				"and results keep Tekton's own limit. Set it to termination-message to use Indelible"}},
		{name: "forbid an API server without the policies", objects: []runtime.Object{controllerIn("tekton-pipelines")},
			change: old,
			refusals: []string{"this API server (v1.29.4) has no ValidatingAdmissionPolicy in " +
				"admissionregistration.k8s.io/v1: " +
				"Kubernetes 1.30 or later is needed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := clusterOf(tt.objects...)
			if tt.change != nil {
				tt.change(client)
			}
			report, err := Check(context.Background(), client, rendered(t, tt.overlay))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(report.Refusals, tt.refusals) {
				t.Errorf("refuses\n%s\nwant\n%s", strings.Join(report.Refusals, "\n"), strings.Join(tt.refusals, "\n"))
			}
			if !slices.Equal(report.Warnings, tt.warnings) {
				t.Errorf("warns\n%s\nwant\n%s", strings.Join(report.Warnings, "\n"), strings.Join(tt.warnings, "\n"))
			}
		})
	}
}

func TestCheckSaysWhatItCouldNotAsk(t *testing.T) {
	for resource, want := range map[string]string{"deployments": "listing Deployments",
		"statefulsets": "listing StatefulSets",
		"configmaps":   "read Tekton's feature flags"} {
		client := clusterOf(controllerIn("tekton-pipelines"))
		client.PrependReactor("*", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil,
				errors.New("refused")
		})
		if _, err := Check(context.Background(), client, Installation{Controllers: []string{usual}}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", resource, err, want)
		}
	}
}

func TestReadManifestsForbids(t *testing.T) {
	const controllers = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: indelible-config}\ndata: {controller: "
	for name, tc := range map[string]struct{ manifests, want string }{
		"forbid nothing at all":  {"", "the manifests have no ConfigMap indelible-config"},
		"forbid what is no YAML": {"a: [", "read manifests: "},
		"forbid a name that ends a string": {controllers + `"a' b"}`,
			"read ConfigMap/indelible-config: controller must not contain quotes or backslashes"},
	} {
		if _, err := ReadManifests(strings.NewReader(tc.manifests)); err == nil ||
			!strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	i, err := ReadManifests(strings.NewReader("kind: ConfigMap\nmetadata: {name: indelible-config}\ndata: {}\n"))
	if err != nil || !slices.Equal(i.Controllers, []string{usual}) {
		t.Errorf("without the key: %q, %v; want what the webhook then goes by", i.Controllers, err)
	}
}

func TestNamed(t *testing.T) {
	tests := map[string]struct {
		expressions []string
		want        string
	}{
		"finds it alone": {[]string{"'a'.split(' ')"}, "[[a]]"},
		"finds several users": {[]string{"!(request.userInfo.username in 'a b'.split(' ')) || has(x)"},
			"[[a b]]"},
		"finds it behind other strings": {[]string{"!(u.orValue('') in 'a'.split(' '))"}, "[[a]]"},
		"finds each place": {
			[]string{"x in 'a'.split(' ')", "true", "y in 'b'.split(' ')"}, "[[a] [b]]",
		},
		"takes no other string for one":   {[]string{"c.type == 'Succeeded' && s.split(' ')[0] == 'a'"}, "[]"},
		"takes no other separator either": {[]string{"'a,b'.split(',')"}, "[]"},
	}
	for name, tc := range tests {
		var got []string
		for _, users := range Named(tc.expressions...) {
			got = append(got, "["+strings.Join(users, " ")+"]")
		}
		if text := "[" + strings.Join(got, " ") + "]"; text != tc.want {
			t.Errorf("%s: %s, want %s", name, text, tc.want)
		}
	}
	var c admissionv1.MutatingWebhookConfiguration
	if places := NamedByGuard(&c); places != nil {
		t.Errorf("an empty configuration names %q", places)
	}
}

func TestAccountOf(t *testing.T) {
	d := controllerIn("ci")
	d.Spec.Template.Spec.ServiceAccountName = ""
	users, err := Running(context.Background(), clusterOf(d))
	if err != nil || !slices.Equal(users, []string{"system:serviceaccount:ci:default"}) {
		t.Errorf("without a service account: %q, %v", users, err)
	}
}
