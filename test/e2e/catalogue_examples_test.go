//go:build e2e

package e2e

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/test/harness"
)

// Reasons why an example of Tekton's is not run.
const (
	needsAlpha    = "needs alpha features, which are off by default"
	needsFlag     = "needs a feature flag that is off by default"
	needsNetwork  = "fetches from elsewhere"
	needsRegistry = "pulls from a registry, pushes to one, or asks it for an image's command"
	needsProgram  = "needs a program that the image with a shell does not have"
	needsBash     = "has a script that only bash understands"
	needsCluster  = "needs what the local cluster does not have"
	printsChance  = "prints what no two runs have alike"
	needsSize     = "has results that Tekton alone cannot have"
)

// exampleEntries are Tekton's own examples, of the module that this repository builds with. Each
// that is not run has a reason. The pods of those that have no results are left alone.
func exampleEntries(t *testing.T) []entry {
	t.Helper()
	root := examplesFolder(t)
	known := map[string]bool{}
	var all []entry
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		known[name] = true
		declares := declaredResults.Match(text)
		if examplesLeftOut[name] == "" {
			all = append(all, entry{name: "Tekton's example " + name, yaml: adapted(string(text)), left: !declares,
				unordered: true, passes: true})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range examplesLeftOut {
		if !known[name] {
			t.Errorf("example %s is left out, but there is no such example", name)
		}
	}
	return all
}

func examplesFolder(t *testing.T) string {
	t.Helper()
	return filepath.Join(tektonModule(t, "{{.Dir}}"), "examples", "v1")
}

func tektonModule(t *testing.T, what string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", what, "github.com/tektoncd/pipeline").Output()
	if err != nil {
		t.Fatalf("looking for Tekton's module: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// onlyThisTekton skips the catalogue with other releases of Tekton than the one it was written
// with: messages differ, and not all have the features used.
func onlyThisTekton(t *testing.T) {
	t.Helper()
	if !isCatalogued(t) {
		t.Skipf("the catalogue is of Tekton %s, this cluster has another", tektonModule(t, "{{.Version}}"))
	}
}

// isCatalogued reports whether the cluster runs the catalogue's release of Tekton.
func isCatalogued(t *testing.T) bool {
	t.Helper()
	maps := cluster.Kube.CoreV1().ConfigMaps("tekton-pipelines")
	info, err := maps.Get(context.Background(), "pipelines-info", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return info.Data["version"] == tektonModule(t, "{{.Version}}")
}

var declaredResults = regexp.MustCompile(`(?m)^\s*results:`)

// shells are images that can be replaced by the one image with a shell.
const shells = `(?:mirror\.gcr\.io|cgr\.dev/chainguard|docker\.io)/(?:library/)?(?:ubuntu|alpine|bash|busybox)`

// adaptations make an example run with the one image that has a shell, and give its runs
// predictable names.
var adaptations = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(?m)^(\s*(?:- )?image:\s*)["']?` + shells + `(?:[:@]\S*)?$`), "${1}" + harness.Image()},
	{regexp.MustCompile(`#!/usr/bin/env (bash|ash|sh)|#!/bin/bash`), "#!/bin/sh"},
	{regexp.MustCompile(`(?m)^(\s*)generateName:\s*["']?([a-z0-9-]*[a-z0-9])-?["']?\s*$`), "${1}name: ${2}"},
	{
		regexp.MustCompile(`(?m)^apiVersion: tekton.dev/v1alpha1(\nkind: StepAction)`),
		"apiVersion: tekton.dev/v1beta1${1}",
	},
}

func adapted(text string) string {
	for _, a := range adaptations {
		text = a.pattern.ReplaceAllString(text, a.with)
	}
	return text
}
