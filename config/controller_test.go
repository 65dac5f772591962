package manifests_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/indelible-ci/indelible/pkg/config"
)

// render is what `kubectl kustomize` makes of a folder: this is the library in it.
func render(t *testing.T, folder string) string {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as the folder says
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// overlay makes a kustomization in a folder of its own and returns the folder. HERE stands for this
// one.
func overlay(t *testing.T, text string) string {
	t.Helper()
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	up, err := filepath.Rel(folder, here) // absolute paths are refused
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(strings.ReplaceAll(text, "HERE", up)),
		0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

const otherController = `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
sortOptions: {order: fifo}
resources: [HERE/BASE]
configMapGenerator:
- {name: indelible-config, namespace: indelible-system, behavior: merge, literals: ["controller=system:serviceaccount:ci:tekton system:serviceaccount:ci:other"]}
generatorOptions: {disableNameSuffixHash: true}
transformers: [HERE/transformers/controller]
`

// Changing the one key changes Tekton's controller everywhere, and nothing else.
func TestControllerIsSetInOnePlace(t *testing.T) {
	const other = "system:serviceaccount:ci:tekton system:serviceaccount:ci:other"
	for _, base := range []string{"default", "overlays/results-only", "overlays/cert-manager", "overlays/openshift"} {
		t.Run(base, func(t *testing.T) {
			changed := render(t, overlay(t, strings.ReplaceAll(otherController, "BASE", base)))
			if strings.Contains(changed, ":tekton-pipelines-controller") {
				t.Errorf("the name stays where config/transformers/controller does not replace it:\n%s",
					around(changed, ":tekton-pipelines-controller"))
			}
			own := config.DefaultController
			if base == "overlays/openshift" {
				own = "system:serviceaccount:openshift-pipelines:tekton-pipelines-controller"
			}
			if want := unwrapped(strings.ReplaceAll(render(t, base), own, other)); unwrapped(changed) != want {
				t.Error("another name changes more than the name")
			}
			// The key, two policies, and each match condition of the guard.
			if got := strings.Count(unwrapped(changed), other); got < 5 {
				t.Errorf("the name stands in %d places", got)
			}
		})
	}
}

// unwrapped undoes where the lines of a folded scalar end, which depends on their length.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }

func around(text, what string) string {
	return strings.Join(regexp.MustCompile(`(?m)^.*`+regexp.QuoteMeta(what)+`.*$`).FindAllString(text, -1), "\n")
}

// Where the name is written: in the key, and in what is generated from it. No other file may
// contain it.
func TestControllerIsSpelledOutNowhereElse(t *testing.T) {
	want := []string{"base/kustomization.yaml", "overlays/openshift/kustomization.yaml", "policy/10-policy.yaml",
		"policy/30-pods-policy.yaml", "webhook/guard.yaml"}
	var got []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".yaml") &&
			strings.Contains(read(t, path, nil), ":tekton-pipelines-controller") {
			got = append(got, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("spelled out in %q, want %q", got, want)
	}
}

// As installed, nothing is left of what config/transformers/controller would write: the literals
// are those of the key.
func TestControllerInstalledIsTheDefault(t *testing.T) {
	text := render(t, "default")
	if !strings.Contains(text, "controller: "+config.DefaultController+"\n") {
		t.Error("the key is not the default")
	}
	// A replacement that counts the quotes wrongly puts the name where the names are told apart.
	if wrong := regexp.MustCompile(`split\(\s*'+[^' ]`).FindString(unwrapped(text)); wrong != "" {
		t.Errorf("the name is written to a wrong place: %s", wrong)
	}
	for _, file := range []string{"policy/10-policy.yaml", "policy/30-pods-policy.yaml", "webhook/guard.yaml"} {
		for _, quoted := range regexp.MustCompile(`'system:serviceaccount:[^']*'(\.split\(' '\))?`).FindAllString(
			read(t, file, nil), -1) {
			if quoted != "'"+config.DefaultController+"'.split(' ')" && quoted != "'system:serviceaccount:'" {
				t.Errorf("%s: %s", file, quoted)
			}
		}
	}
}

// OpenShift's controller, and no user or group that its constraints would refuse.
func TestOpenShift(t *testing.T) {
	text := render(t, "overlays/openshift")
	for _, gone := range []string{config.DefaultController, "runAsUser", "runAsGroup", "fsGroup"} {
		if strings.Contains(text, gone) {
			t.Errorf("%s:\n%s", gone, around(text, gone))
		}
	}
	if got := strings.Count(text, "runAsNonRoot: true"); got != 2 {
		t.Errorf("%d of 2 pods must not run as root", got)
	}
}
