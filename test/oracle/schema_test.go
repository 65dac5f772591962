package oracle

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

// crd is the schema of TaskRuns in tekton.dev/v1, as Tekton installs it: the API server drops
// fields it does not know before admission, and refuses what does not fit it afterwards.
type crd struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
}

func loadCRD(t testing.TB) crd {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tektoncd/pipeline").Output()
	must(t, err)
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config/300-crds/300-taskrun.yaml"))
	must(t, err)
	var definition apiextensionsv1.CustomResourceDefinition
	must(t, yaml.Unmarshal(text, &definition))
	for _, v := range definition.Spec.Versions {
		if v.Name != "v1" {
			continue
		}
		var props apiextensions.JSONSchemaProps
		must(t, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
			v.Schema.OpenAPIV3Schema, &props,
			nil))
		structural, err := schema.NewStructural(&props)
		must(t, err)
		validator, _, err := validation.NewSchemaValidator(&props)
		must(t, err)
		return crd{structural, validator}
	}
	t.Fatal("Tekton's CRD has no version v1")
	return crd{}
}

func (c crd) prune(object map[string]any) { pruning.Prune(object, c.structural, true) }

// refuses returns why an object does not fit, "" if it does.
func (c crd) refuses(object map[string]any) string {
	if errs := validation.ValidateCustomResource(nil, object, c.validator); len(errs) > 0 {
		return errs.ToAggregate().Error()
	}
	return ""
}
