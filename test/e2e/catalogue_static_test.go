//go:build e2e

package e2e

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/indelible-ci/indelible/test/harness"
)

// staticImage has nothing but the program of ./static in it: no shell, no libraries, no /tmp, no
// user but 65532.
const staticImage = "indelible-e2e-static:local"

// staticEntries run in an image without a shell. They need the local cluster, into which the image
// is loaded.
var staticEntries = []entry{
	{name: "an image without a shell", before: loadStatic, yaml: oneTask(`
results: [{name: text}, {name: own, value: $(steps.first.results.own)}]
steps:
- {name: first, image: "` + staticImage + `", imagePullPolicy: Never, command: [/static], results: [{name: own}],
   args: [write, $(step.results.own.path), own, write, $(results.text.path), text, print, written]}
- {name: last, image: "` + staticImage + `", imagePullPolicy: Never, command: [/static], args: [print, $(steps.first.results.own), exit, "0"]}`)},
	{name: "an image without a shell whose last step fails", before: loadStatic, yaml: oneTask(`
results: [{name: text}]
steps:
- {name: first, image: "` + staticImage + `", imagePullPolicy: Never, command: [/static], args: [read, /nowhere, write, $(results.text.path), text], onError: continue}
- {name: last, image: "` + staticImage + `", imagePullPolicy: Never, command: [/static], args: [write, $(results.text.path), text, exit, "5"]}`)},
	{name: "an image without a shell, to which it may not write", before: loadStatic, yaml: oneTask(`
results: [{name: text}]
stepTemplate: {securityContext: {readOnlyRootFilesystem: true, runAsNonRoot: true, capabilities: {drop: [ALL]}}}
steps:
- {name: only, image: "` + staticImage + `", imagePullPolicy: Never, command: [/static], env: [{name: PATH, value: ""}], args: [write, $(results.text.path), text, read, $(results.text.path)]}`)},
	{name: "a program of an image without a shell that is looked for on the path", before: loadStatic, yaml: oneTask(`
results: [{name: text}]
steps:
- {name: only, image: "` + staticImage + `", imagePullPolicy: Never, command: [static], env: [{name: PATH, value: "/nowhere:/"}], args: [write, $(results.text.path), text]}`)},
}

var staticLoading struct {
	sync.Mutex
	done bool
}

// loadStatic builds the image and loads it into the local cluster, once.
func loadStatic(t *testing.T) {
	t.Helper()
	staticLoading.Lock()
	defer staticLoading.Unlock()
	if staticLoading.done {
		return
	}
	archive := filepath.Join(t.TempDir(), "static.tar")
	err := cluster.Local(context.Background(), "images", "--binary", program(t, ".", "./static"), "--as", "/static",
		"--tag", staticImage, "--output", archive)
	if errors.Is(err, harness.ErrNotLocal) {
		t.Skip("the image is of this test, and only the local cluster takes it without a registry")
	}
	if err == nil {
		err = cluster.Local(context.Background(), "load", archive)
	}
	if err != nil {
		t.Fatal(err)
	}
	staticLoading.done = true
}
