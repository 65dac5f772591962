package selfcheck

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/config"
	"github.com/indelible-ci/indelible/pkg/preflight"
)

// manifests decodes every object of some files of config.
func manifests(t *testing.T, pattern string) []runtime.Object {
	t.Helper()
	paths, err := filepath.Glob("../../../config/" + pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no manifests config/%s: %v", pattern, err)
	}
	var out []runtime.Object
	for _, path := range paths {
		for _, document := range documents(t, path) {
			object, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			out = append(out, object)
		}
	}
	return out
}

func documents(t *testing.T, path string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, document := range strings.Split(string(text), "\n---\n") {
		raw, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if string(raw) != "null" {
			out = append(out, raw)
		}
	}
	return out
}

// The policies that config/policy installs are those the self-check wants, each with a binding of
// its name.
func TestPoliciesAreTheManifests(t *testing.T) {
	var policies, bindings []string
	for _, object := range manifests(t, "policy/[0-9]*.yaml") {
		switch o := object.(type) {
		case *admissionv1.ValidatingAdmissionPolicy:
			policies = append(policies, o.Name)
		case *admissionv1.ValidatingAdmissionPolicyBinding:
			bindings = append(bindings, o.Name)
		}
	}
	for _, installed := range [][]string{policies, bindings} {
		slices.Sort(installed)
		if want := slices.Sorted(slices.Values(Policies)); !slices.Equal(installed, want) {
			t.Errorf("config/policy has %q, the self-check wants %q", installed, want)
		}
	}
}

// The webhook's ClusterRole lets it read what Inspect reads, by name, and no more of these kinds.
func TestRightsAreTheManifests(t *testing.T) {
	got := map[string][]string{}
	for _, object := range manifests(t, "base/30-rbac-requests.yaml") {
		role, ok := object.(*rbacv1.ClusterRole)
		if !ok || role.Name != "indelible-webhook" {
			continue
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				right := resource + " " + rule.Verbs[0]
				if len(rule.ResourceNames) == 0 {
					right += " all"
				}
				got[right] = rule.ResourceNames
				if len(rule.Verbs) > 1 && resource != "events" {
					t.Errorf("%s: verbs %q, want one", resource, rule.Verbs)
				}
			}
		}
	}
	for right, want := range map[string][]string{
		"mutatingwebhookconfigurations get":     {"indelible-guard"},
		"validatingadmissionpolicies get":       Policies,
		"validatingadmissionpolicybindings get": Policies,
		"clusterroles get":                      {"indelible-publish-results"},
		"rolebindings list":                     {"indelible-publish-results"},
		"clusterroles list all":                 nil,
		"roles list all":                        nil,
		"clusterrolebindings list all":          nil,
		"rolebindings list all":                 nil,
		"deployments list":                      {"tekton-pipelines-controller"},
		"statefulsets list":                     {"tekton-pipelines-controller"},
		"pods get all":                          nil, // of requests, and its own
		"nodes list all":                        nil,
		"events create all":                     nil,
	} {
		if names, may := got[right]; !may || !slices.Equal(names, want) {
			t.Errorf("may %s of %q: %v, want of %q", right, names, may, want)
		}
		delete(got, right)
	}
	if len(got) > 0 {
		t.Errorf("may more than is read: %v", got)
	}
}

// What config installs has no gap, whatever is defaulted by an API server.
func TestTheInstallationIsGuarded(t *testing.T) {
	expected := Expected{Controllers: config.Default().Controllers, TaskRunLimit: config.Default().Limits.TaskRun}
	var namings []naming
	for _, pattern := range []string{"webhook/guard.yaml", "policy/[0-9]*.yaml"} {
		for _, object := range manifests(t, pattern) {
			why := ""
			switch o := object.(type) {
			case *admissionv1.MutatingWebhookConfiguration:
				if o.Name == "indelible-guard" {
					why = checkGuard(o)
					namings = append(namings, naming{piece{kindGuard, o.Name}, preflight.NamedByGuard(o)})
				}
			case *admissionv1.ValidatingAdmissionPolicy:
				why = checkPolicy(o) + checkLimit(expected, o)
				namings = append(namings, naming{piece{kindPolicy, o.Name}, preflight.NamedByPolicy(o)})
			case *admissionv1.ValidatingAdmissionPolicyBinding:
				why = checkBinding(o)
			}
			if why != "" {
				t.Errorf("config/%s: %s %s", pattern, object.(metav1.Object).GetName(), why)
			}
		}
	}
	if gaps := append(checkSettings(expected, namings),
		checkController(expected.Controllers, expected, namings)...); len(namings) != 3 || len(gaps) > 0 {
		t.Errorf("%d pieces name Tekton's controller: %v", len(namings), gaps)
	}
}

// Publishing needs no right to patch: our own grant is no leak.
func TestTheGrantLeaksNothing(t *testing.T) {
	for _, object := range manifests(t, "rbac/[0-9]*.yaml") {
		if role, ok := object.(*rbacv1.ClusterRole); ok && accessOf(role.Rules).patches {
			t.Errorf("ClusterRole %s lets its subjects read TaskRuns by patches", role.Name)
		}
	}
}
