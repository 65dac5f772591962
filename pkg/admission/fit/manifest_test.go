package fit

import (
	"os"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"
)

// The webhook is the last of its configuration, after the guard, and doc.go has its conditions.
func TestManifest(t *testing.T) {
	var manifest admissionregistrationv1.MutatingWebhookConfiguration
	text, err := os.ReadFile("../../../config/webhook/guard.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &manifest); err != nil {
		t.Fatal(err)
	}
	w := manifest.Webhooks[len(manifest.Webhooks)-1]
	if w.Name != "fit.indelible.dev" || *w.FailurePolicy != admissionregistrationv1.Ignore ||
		*w.MatchPolicy != admissionregistrationv1.Equivalent {
		t.Errorf("%s, failurePolicy %s, matchPolicy %s", w.Name, *w.FailurePolicy, *w.MatchPolicy)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(strings.ReplaceAll(string(doc), "\n//", "\n")), " ")
	for _, c := range w.MatchConditions {
		if !strings.Contains(words, strings.Join(strings.Fields(c.Expression), " ")) {
			t.Errorf("doc.go does not have the condition %s:\n%s", c.Name, c.Expression)
		}
	}
	if len(w.MatchConditions) != 1 {
		t.Errorf("%d conditions; with more than one all are evaluated for every write", len(w.MatchConditions))
	}
}
