package manifests_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// Each validation has a name, in a comment before it, and a row in docs/verification.md that names
// the rows of the end-to-end tests which cover it.
func TestValidationsAreDocumented(t *testing.T) {
	doc := read(t, "../docs/verification.md", nil)
	for manifest, test := range map[string]string{
		"10-policy.yaml":      "../test/e2e/policy_test.go",
		"30-pods-policy.yaml": "../test/e2e/attack_pods_test.go",
	} {
		t.Run(manifest, func(t *testing.T) {
			var policy admissionv1.ValidatingAdmissionPolicy
			text := read(t, "policy/"+manifest, &policy)
			var names []string
			named := regexp.MustCompile(`(?m)^  # \[([a-z-]+)\]\n  - expression:`)
			for _, m := range named.FindAllStringSubmatch(text, -1) {
				names = append(names, m[1])
			}
			if len(names) != len(policy.Spec.Validations) {
				t.Errorf("%d validations have names, of %d", len(names), len(policy.Spec.Validations))
			}
			documented, rows := documentedValidations(t, doc, manifest)
			if !slices.Equal(documented, names) {
				t.Errorf("docs/verification.md has %q, the manifest %q", documented, names)
			}
			source := read(t, test, nil)
			for _, row := range rows {
				if !strings.Contains(source, `"`+row) && !strings.Contains(source, "`"+row) {
					t.Errorf("%s has no row %q", test, row)
				}
			}
		})
	}
}

// documentedValidations reads a policy's part of the table: the names in its second column, and the
// rows of tests in its last.
func documentedValidations(t *testing.T, doc, manifest string) (names, rows []string) {
	t.Helper()
	_, table, found := strings.Cut(doc, "| `"+manifest+"` |")
	if !found {
		t.Fatalf("docs/verification.md has no row for %s", manifest)
	}
	code := regexp.MustCompile("`([^`]+)`")
	for i, line := range strings.Split(table, "\n") {
		cells := strings.Split(line, "|")
		if i > 0 && !strings.HasPrefix(line, "| | ") {
			break
		}
		cells = cells[max(0, len(cells)-4):] // name, what it denies, rows, and what follows the last bar
		names = append(names, code.FindStringSubmatch(cells[0])[1])
		for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
			rows = append(rows, m[1])
		}
	}
	return names, rows
}
