package tekton

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/indelible-ci/indelible/test/cluster/build"
)

// source is Tekton's module, from Go's module cache or the proxy.
func source(t *testing.T, version string) string {
	t.Helper()
	module, err := Release{Version: version}.module()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := build.Download(t.Context(), module)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// replaced are all lines of Tekton's manifests that may change, without indentation, and what they
// become.
var replaced = map[string]string{
	`image: ko://github.com/tektoncd/pipeline/cmd/controller`:                                                               `image: tekton.local/controller:v1.15.0`,
	`image: ko://github.com/tektoncd/pipeline/cmd/events`:                                                                   `image: tekton.local/events:v1.15.0`,
	`image: ko://github.com/tektoncd/pipeline/cmd/resolvers`:                                                                `image: tekton.local/resolvers:v1.15.0`,
	`image: ko://github.com/tektoncd/pipeline/cmd/webhook`:                                                                  `image: tekton.local/webhook:v1.15.0`,
	`"-entrypoint-image", "ko://github.com/tektoncd/pipeline/cmd/entrypoint",`:                                              `"-entrypoint-image", "tekton.local/entrypoint:v1.15.0",`,
	`"-nop-image", "ko://github.com/tektoncd/pipeline/cmd/nop",`:                                                            `"-nop-image", "tekton.local/nop:v1.15.0",`,
	`"-sidecarlogresults-image", "ko://github.com/tektoncd/pipeline/cmd/sidecarlogresults",`:                                `"-sidecarlogresults-image", "tekton.local/sidecarlogresults:v1.15.0",`,
	`"-workingdirinit-image", "ko://github.com/tektoncd/pipeline/cmd/workingdirinit",`:                                      `"-workingdirinit-image", "tekton.local/workingdirinit:v1.15.0",`,
	`"-shell-image", "cgr.dev/chainguard/busybox@sha256:19f02276bf8dbdd62f069b922f10c65262cc34b710eea26ff928129a736be791",`: `"-shell-image", "docker.io/library/busybox:local",`,
	`app.kubernetes.io/version: "devel"`:                                                                                    `app.kubernetes.io/version: "v1.15.0"`,
	`pipeline.tekton.dev/release: "devel"`:                                                                                  `pipeline.tekton.dev/release: "v1.15.0"`,
	`version: "devel"`:                                                                                                      `version: "v1.15.0"`,
}

func TestRewriteOfTektonsOwnManifests(t *testing.T) {
	seen := map[string]bool{}
	forEachManifest(t, source(t, DefaultVersion), func(path, content string) {
		before, after := strings.Split(content, "\n"), strings.Split(rewrite(content, DefaultVersion), "\n")
		if len(before) != len(after) {
			t.Fatalf("%s had %d lines and has %d", path, len(before), len(after))
		}
		for i, line := range before {
			trimmed := strings.TrimLeft(line, " ")
			want := line
			if replacement, found := replaced[trimmed]; found {
				seen[trimmed] = true
				want = strings.TrimSuffix(line, trimmed) + replacement
			}
			if after[i] != want {
				t.Errorf("%s:%d became %q, want %q", path, i+1, after[i], want)
			}
		}
	})
	for line := range replaced {
		if !seen[line] {
			t.Errorf("no manifest has the line %q", line)
		}
	}
}

func forEachManifest(t *testing.T, module string, f func(path, content string)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(module, "config"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		content, err := os.ReadFile(path)
		f(path, string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLoadOfTektonsOwnManifests(t *testing.T) {
	built := Built{Release: Release{Version: DefaultVersion}, Source: source(t, DefaultVersion)}
	manifests, err := built.Load()
	if err != nil {
		t.Fatal(err)
	}
	// grep -rh '^kind:' config | sort | uniq -c, in Tekton's source.
	kind := regexp.MustCompile(`(?m)^kind: *(\S+)`)
	for name, test := range map[string]struct {
		part  string
		count int
		kinds []string
	}{
		"keeps the namespaces first":   {manifests.Namespaces, 2, []string{"Namespace"}},
		"keeps the definitions second": {manifests.Definitions, 8, []string{"CustomResourceDefinition"}},
		"keeps all else, without the autoscaler": {manifests.Rest, 65,
			[]string{"ClusterRole", "ClusterRoleBinding", "ConfigMap", "Deployment",
				"MutatingWebhookConfiguration", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount",
				"ValidatingWebhookConfiguration"}},
	} {
		t.Run(name, func(t *testing.T) {
			var kinds []string
			for _, match := range kind.FindAllStringSubmatch(test.part, -1) {
				kinds = append(kinds, match[1])
			}
			if len(kinds) != test.count {
				t.Errorf("%d objects, want %d", len(kinds), test.count)
			}
			slices.Sort(kinds)
			if got := slices.Compact(kinds); !slices.Equal(got, test.kinds) {
				t.Errorf("got %v, want %v", got, test.kinds)
			}
		})
	}
}

// Loading ends with a check that all images are ours: so each release that is pinned here can be
// installed.
func TestLoadOfEveryPinnedRelease(t *testing.T) {
	for version := range sums {
		t.Run("allow "+version, func(t *testing.T) {
			built := Built{Release: Release{Version: version}, Source: source(t, version)}
			manifests, err := built.Load()
			if err != nil {
				t.Fatal(err)
			}
			if want := ShellImage; !strings.Contains(manifests.Rest, want) {
				t.Errorf("no manifest names %s: the image of scripts is not filled in", want)
			}
			if !strings.Contains(manifests.Rest, `version: "v`+version+`"`) {
				t.Error("no manifest names the version")
			}
		})
	}
}

func TestManifestsCheck(t *testing.T) {
	for name, test := range map[string]struct{ rest, want string }{
		"allows the images that are built": {rest: "image: tekton.local/controller:v1.15.0\nargs: [\"-nop-image\", " +
			"\"tekton.local/nop:v1.15.0\"]"},
		"forbids one that is not built": {rest: "image: tekton.local/agent:v1.15.0",
			want: "the image tekton.local/agent:v1.15.0, which this tool does not build"},
		"forbids one of another version": {rest: "image: tekton.local/nop:v1.9.0",
			want: "the image tekton.local/nop:v1.9.0, which this tool does not build"},
		"forbids one that is not filled in": {rest: "image: ko://example.com/x",
			want: "the image ko://example.com/x, which " +
				"this tool does not fill in"},
		"forbids a folder without objects": {want: "lack namespaces, definitions or deployments"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Manifests{Namespaces: "n", Definitions: "d", Rest: test.rest}.check("1.15.0")
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestReleaseModule(t *testing.T) {
	for name, test := range map[string]struct {
		release   Release
		sum, want string
	}{
		"takes the pinned checksum": {release: Release{Version: "1.15.0"},
			sum: "h1:ZGboFUaEdpYurZWqeGT5rn9e6qmomGL/gLSKhHp2vvQ="},
		"takes a given checksum": {release: Release{Version: "1.9.0", Sum: "h1:x"}, sum: "h1:x"},
		"forbids a release without one, and says what to": {release: Release{Version: "1.9.0"},
			want: "go mod download -json github.com/tektoncd/pipeline@v1.9.0"},
	} {
		t.Run(name, func(t *testing.T) {
			module, err := test.release.module()
			if module.Sum != test.sum || (err == nil) != (test.want == "") || err != nil &&
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v", module, err)
			}
		})
	}
}
