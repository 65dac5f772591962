// Package manifests_test holds the manifests to what the programs they install expect of them.
package manifests_test

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/admission"
	"github.com/indelible-ci/indelible/pkg/config"
	"github.com/indelible-ci/indelible/pkg/result"
)

func read(t *testing.T, path string, into any) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := yaml.UnmarshalStrict(data, into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return string(data)
}

func webhooks(t *testing.T) map[string]admissionv1.MutatingWebhook {
	t.Helper()
	found := map[string]admissionv1.MutatingWebhook{}
	for _, path := range []string{"webhook/inject.yaml", "webhook/guard.yaml", "archive/60-protect.yaml"} {
		var c admissionv1.MutatingWebhookConfiguration
		read(t, path, &c)
		for _, w := range c.Webhooks {
			found[w.Name] = w
		}
	}
	return found
}

func TestConfigurationInstalledIsTheDefault(t *testing.T) {
	installed, err := config.Load("base/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Publisher.Image = "indelible-publisher:dev"
	if diff := cmp.Diff(want, installed); diff != "" {
		t.Errorf("base/config.yaml differs from what a file that says nothing means:\n%s", diff)
	}
}

func TestOrder(t *testing.T) {
	tests := map[string]struct {
		folder string
		want   []string
	}{
		// docs/design.md, D6: policy, webhook, then the grant.
		"the policy, the webhook, the grant, the archive": {"default",
			[]string{"../base", "../policy", "../server", "../webhook", "../rbac", "../archive"}},
		"the same without the archive": {"overlays/results-only",
			[]string{"../../base", "../../policy", "../../server", "../../webhook", "../../rbac"}},
		"what protects runs after who releases them": {"archive", []string{
			"10-serviceaccount.yaml", "20-rbac.yaml", "30-volume.yaml", "40-service.yaml", "50-deployment.yaml",
			"60-protect.yaml"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var k struct {
				Resources   []string `json:"resources"`
				SortOptions struct {
					Order string `json:"order"`
				} `json:"sortOptions"`
			}
			if err := yaml.Unmarshal([]byte(read(t, tc.folder+"/kustomization.yaml", nil)), &k); err != nil {
				t.Fatal(err)
			}
			if k.SortOptions.Order != "fifo" || !slices.Equal(k.Resources, tc.want) {
				t.Errorf("applied in order %q of %q, want fifo of %q", k.SortOptions.Order, k.Resources, tc.want)
			}
		})
	}
}

func TestWebhooks(t *testing.T) {
	tests := map[string]struct {
		path    string
		failure admissionv1.FailurePolicyType
		effects admissionv1.SideEffectClass
	}{
		"inject.indelible.dev": {admission.InjectPath, admissionv1.Ignore, admissionv1.SideEffectClassNone},
		"report.indelible.dev": {
			admission.ReportPath, admissionv1.Ignore, admissionv1.SideEffectClassNoneOnDryRun,
		},
		"guard.indelible.dev": {admission.GuardPath, admissionv1.Fail, admissionv1.SideEffectClassNone},
		"guard-elsewhere.indelible.dev": {
			admission.GuardElsewherePath, admissionv1.Fail, admissionv1.SideEffectClassNone,
		},
		"carry-over.indelible.dev": {admission.CarryOverPath, admissionv1.Ignore,
			admissionv1.SideEffectClassNoneOnDryRun},
		"fit.indelible.dev":     {admission.FitPath, admissionv1.Ignore, admissionv1.SideEffectClassNoneOnDryRun},
		"protect.indelible.dev": {admission.ProtectPath, admissionv1.Ignore, admissionv1.SideEffectClassNone},
	}
	installed := webhooks(t)
	if len(installed) != len(tests) {
		t.Errorf("%d webhooks, want %d", len(installed), len(tests))
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w, ok := installed[name]
			if !ok {
				t.Fatal("is not installed")
			}
			s := w.ClientConfig.Service
			if s.Namespace != "indelible-system" || s.Name != "indelible-webhook" || *s.Path != tc.path {
				t.Errorf("calls %s/%s%s", s.Namespace, s.Name, *s.Path)
			}
			if *w.FailurePolicy != tc.failure || *w.SideEffects != tc.effects {
				t.Errorf("fails by %s with side effects %s, want %s and %s", *w.FailurePolicy, *w.SideEffects,
					tc.failure,
					tc.effects)
			}
			// The Deployment's grace period is made for 10 s.
			if *w.TimeoutSeconds > 10 {
				t.Errorf("times out after %d s", *w.TimeoutSeconds)
			}
		})
	}
	if got := installed["inject.indelible.dev"].NamespaceSelector.MatchLabels; !cmp.Equal(got,
		map[string]string{result.EnabledKey: result.Enabled}) {
		t.Errorf("injects in namespaces labelled %v", got)
	}
}

// The guard's two webhooks share all namespaces between them, and differ in nothing but that and
// their paths.
func TestTheGuardIsAskedEverywhere(t *testing.T) {
	in, elsewhere := webhooks(t)["guard.indelible.dev"], webhooks(t)["guard-elsewhere.indelible.dev"]
	for operator, w := range map[metav1.LabelSelectorOperator]*admissionv1.MutatingWebhook{metav1.LabelSelectorOpIn: &in,
		metav1.LabelSelectorOpNotIn: &elsewhere} {
		want := []metav1.LabelSelectorRequirement{{Key: result.EnabledKey, Operator: operator,
			Values: []string{result.Enabled}}}
		if got := w.NamespaceSelector; len(got.MatchLabels) > 0 || !cmp.Equal(got.MatchExpressions, want) {
			t.Errorf("%s is asked in namespaces %v, want %v", w.Name, got, want)
		}
		w.Name, w.NamespaceSelector, w.ClientConfig.Service.Path = "", nil, nil
	}
	if diff := cmp.Diff(in, elsewhere); diff != "" {
		t.Errorf("they differ in more (-opted in +elsewhere):\n%s", diff)
	}
}

func TestDeploymentIsRestricted(t *testing.T) {
	var d appsv1.Deployment
	read(t, "server/20-deployment.yaml", &d)
	pod := d.Spec.Template.Spec
	if d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 || *d.Spec.Replicas < 2 {
		t.Error("an update takes a replica away before its successor is ready")
	}
	if c := pod.Containers[0].SecurityContext; !*c.ReadOnlyRootFilesystem || *c.AllowPrivilegeEscalation ||
		!*pod.SecurityContext.RunAsNonRoot {
		t.Error("the container has more rights than it needs")
	}
	var overlay appsv1.Deployment
	read(t, "overlays/cert-manager/deployment.yaml", &overlay)
	for _, arg := range pod.Containers[0].Args {
		if !slices.Contains(overlay.Spec.Template.Spec.Containers[0].Args, arg) {
			t.Errorf("the cert-manager overlay replaces the arguments and lacks %s", arg)
		}
	}
}
