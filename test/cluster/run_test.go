package main

import (
	"bytes"
	"fmt"
	"go/version"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/indelible-ci/indelible/test/cluster/build"
	"github.com/indelible-ci/indelible/test/cluster/tekton"
)

func TestRunRefuses(t *testing.T) {
	t.Setenv("INDELIBLE_CLUSTER_STATE", filepath.Join(t.TempDir(), "none"))
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"forbids an unknown command":             {[]string{"start"}, `no command is called "start"`},
		"forbids arguments of a command without": {[]string{"up", "now"}, "up takes no arguments, got now"},
		"forbids an unknown flag":                {[]string{"status", "--verbose"}, "flag provided but not defined"},
		"forbids loading nothing":                {[]string{"load"}, "load needs the path of an image archive"},
		"forbids loading without a cluster":      {[]string{"load", text}, "start it with up"},
		"forbids a kubeconfig without a cluster": {[]string{"kubeconfig"}, "start one with up"},
		"forbids kubectl without a cluster":      {[]string{"kubectl", "get", "pods"}, "start one with up"},
		"forbids an image without a name": {[]string{"images", "--binary", text, "--as", "/x", "--output", "x"},
			"images needs --binary, --as, --tag and --output"},
		"forbids an image with a relative path in": {[]string{"images", "--binary", text, "--as", "x", "--tag", "x",
			"--output", "x"}, "--as x is not an absolute path"},
		"forbids an image of what is not a binary": {[]string{"images", "--binary", text, "--as", "/x", "--tag", "x",
			"--output", "x"}, "read " + text},
		"forbids pushing without saying where to":    {[]string{"push", text}, "push needs an archive and a reference"},
		"forbids status of a cluster that is not up": {[]string{"status"}, "no cluster runs in"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), test.args); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestUsageListsEveryCommand(t *testing.T) {
	var help bytes.Buffer
	usage(&help)
	for _, name := range []string{"up", "down", "status", "check-clean", "load", "images", "push", "kubeconfig",
		"kubectl"} {
		if !strings.Contains(help.String(), "\n  "+name+" ") {
			t.Errorf("lacks %s", name)
		}
	}
}

// goOf reads the line "go 1.26.0" of a module file.
func goOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(content), "\n") {
		if needs, found := strings.CutPrefix(line, "go "); found {
			return needs
		}
	}
	t.Fatalf("%s names no version of Go", path)
	return ""
}

func tektonSource(t *testing.T) string {
	t.Helper()
	dir, err := build.Download(t.Context(), build.Module{Path: "github.com/tektoncd/pipeline", Version: "v" +
		tekton.DefaultVersion,
		Sum: "h1:ZGboFUaEdpYurZWqeGT5rn9e6qmomGL/gLSKhHp2vvQ="})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestVersionsAgreeWithTheModules(t *testing.T) {
	content, err := os.ReadFile("kube/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("k8s.io/kubernetes v%s\n", kubernetesVersion); !strings.Contains(string(content), want) {
		t.Errorf("kube/go.mod does not require %s", want)
	}
	minor := strings.Split(kubernetesVersion, ".")[1]
	if !strings.Contains(kubernetesFlags, "gitMinor="+minor+" ") ||
		!strings.HasSuffix(kubernetesFlags, "gitMinor="+minor) {
		t.Errorf("the minor version in the linker's flags is not %s", minor)
	}
	if _, err := findSource(""); err != nil {
		t.Error(err)
	}
	for _, file := range []string{"go.mod", "kube/go.mod", filepath.Join(tektonSource(t), "go.mod")} {
		if needs := goOf(t, file); version.Compare("go"+needs, "go"+minimumGo) > 0 {
			t.Errorf("%s needs Go %s, and the prerequisites ask for %s", file, needs, minimumGo)
		}
	}
}
