package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The archive shares the webhook's go.mod, not its binary: every TaskRun's pod waits for the webhook to start.
func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	forbidden := []string{
		"cloud.google.com/", "github.com/Azure/", "github.com/aws/", "gocloud.dev/", "google.golang.org/api/", // object stores
		"github.com/jackc/", "modernc.org/", // databases
		"github.com/indelible-ci/indelible/pkg/archive/store",
		"github.com/tektoncd/results/", "github.com/indelible-ci/indelible/pkg/archive/query/", // the query API
	}
	for path := range strings.FieldsSeq(string(out)) {
		for _, prefix := range forbidden {
			if strings.HasPrefix(path+"/", prefix) {
				t.Errorf("imports %s; the webhook links nothing of the archive's stores", path)
			}
		}
	}
	if !strings.Contains(string(out), "github.com/indelible-ci/indelible/pkg/admission\n") {
		t.Error("go list does not name pkg/admission: this test sees nothing")
	}
}
