//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every overlay, and config/default with every component, is one that this API server takes, with
// strict validation. What is installed stays as it is.
func TestOverlaysAndComponents(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	// not in this cluster: kinds that the overlay needs, as it says
	missing := map[string][]string{"overlays/cert-manager": {"Certificate", "Issuer"}}
	// parts of config/default and config/overlays/api already
	inOverlays := []string{"components/api", "components/api-embedded", "components/api-roles"}
	folders := []string{"default"}
	for _, pattern := range []string{"overlays/*", "components/*"} {
		found, err := filepath.Glob("../../config/" + pattern)
		if err != nil || len(found) < 4 {
			t.Fatalf("%s: %q, %v", pattern, found, err)
		}
		for _, folder := range found {
			folders = append(folders, strings.TrimPrefix(folder, "../../config/"))
		}
	}
	for _, folder := range folders {
		if slices.Contains(inOverlays, folder) {
			continue
		}
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			p := &place{t: t, ctx: p.ctx, namespace: p.namespace}
			path := "../../config/" + folder
			if strings.HasPrefix(folder, "components/") {
				path = overlayOf(t, folder)
			}
			text, err := cluster.KubectlCommand(p.ctx, "apply", "--dry-run=server", "--validate=strict", "-k", path).CombinedOutput()
			out := string(text)
			if !strings.Contains(out, "validatingadmissionpolicy.admissionregistration.k8s.io/indelible-results") {
				t.Errorf("the policy is not in %s", out)
			}
			for _, kind := range missing[folder] {
				unknown := regexp.MustCompile(`(?m)^.*no matches for kind "` + kind + `" .*\nensure CRDs are installed first\n`)
				if !unknown.MatchString(out) {
					t.Errorf("no object of kind %s", kind)
				}
				out = unknown.ReplaceAllString(out, "")
			}
			if (err == nil) != (missing[folder] == nil) || regexp.MustCompile(`(?i)error|no matches|invalid`).MatchString(out) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// overlayOf is config/default with a component, in a folder of its own.
func overlayOf(t *testing.T, component string) string {
	t.Helper()
	folder := t.TempDir()
	root, err := filepath.Abs("../../config")
	if err == nil {
		root, err = filepath.Rel(folder, root) // kustomize takes no absolute paths
	}
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
sortOptions: {order: fifo}
resources: [%s/default]
components: [%s/%s]
`, root, root, component)
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}
