package guard

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/result"
)

// What doc.go says of the webhooks is what the manifest has.
func TestMatchConditionsAreTheManifests(t *testing.T) {
	var manifest admissionregistrationv1.MutatingWebhookConfiguration
	readManifest(t, "../../../config/webhook/guard.yaml", &manifest)
	doc := readFile(t, "doc.go")
	words := strings.Join(strings.Fields(strings.ReplaceAll(doc, "\n//", "\n")), " ")
	policies := map[string]admissionregistrationv1.FailurePolicyType{
		"guard.indelible.dev":           admissionregistrationv1.Fail,
		"guard-elsewhere.indelible.dev": admissionregistrationv1.Fail,
		"carry-over.indelible.dev":      admissionregistrationv1.Ignore,
		"report.indelible.dev":          admissionregistrationv1.Ignore,
	}
	manifest.Webhooks = slices.DeleteFunc(manifest.Webhooks, func(w admissionregistrationv1.MutatingWebhook) bool {
		return w.Name == "fit.indelible.dev" // of pkg/admission/fit, and tested there
	})
	if len(manifest.Webhooks) != len(policies) {
		t.Errorf("the manifest has %d webhooks, want %d", len(manifest.Webhooks), len(policies))
	}
	for _, w := range manifest.Webhooks {
		if w.FailurePolicy == nil || *w.FailurePolicy != policies[w.Name] {
			t.Errorf("%s: failurePolicy %v, want %s", w.Name, w.FailurePolicy, policies[w.Name])
		}
		if len(w.MatchConditions) == 0 {
			t.Errorf("%s has no matchConditions", w.Name)
		}
		for _, c := range w.MatchConditions {
			if !strings.Contains(words, strings.Join(strings.Fields(c.Expression), " ")) {
				t.Errorf("doc.go does not have the condition %s of %s:\n%s", c.Name, w.Name, c.Expression)
			}
		}
		if !strings.Contains(string(*w.MatchPolicy), "Equivalent") {
			t.Errorf("%s: matchPolicy %s would let v1beta1 pass unseen", w.Name, *w.MatchPolicy)
		}
	}
}

// The policy's bounds are the guard's: what one allows, the other must not deny.
func TestBoundsAreThePolicys(t *testing.T) {
	var policy admissionregistrationv1.ValidatingAdmissionPolicy
	readManifest(t, "../../../config/policy/10-policy.yaml", &policy)
	got := map[string]string{}
	for _, v := range policy.Spec.Variables {
		got[v.Name] = v.Expression
	}
	for name, want := range map[string]int{"maxBytes": result.DefaultTaskRunLimit, "maxResults": maxResults,
		"maxSteps": maxSteps,
		"maxKeys":  maxKeys} {
		if got[name] != strconv.Itoa(want) {
			t.Errorf("variable %s is %q, want %d", name, got[name], want)
		}
	}
	if got["controllers"] != "'"+controllerName+"'.split(' ')" {
		t.Errorf("the controllers are %s", got["controllers"])
	}
}

func readManifest(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(readFile(t, path)), into); err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
