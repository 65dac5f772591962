//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestOperations runs the commands of docs/operations.md, in their order, for a TaskRun that failed
// because of a result.
func TestOperations(t *testing.T) {
	p := newPlace(t)
	t.Cleanup(func() {
		if t.Failed() { // else the commands have left it as it was
			install(p)
		}
	})
	p.create(taskRunOf(`- {name: text}`, writeSample(1<<20+1, "text")))
	failedWith(t, p.taskRun("run"), "1048577")

	kubectl := os.Getenv("KUBECTL")
	if kubectl == "" {
		kubectl = "kubectl"
	}
	commands := shellBlocks(t, "../../docs/operations.md")
	for _, command := range commands {
		cmd := exec.CommandContext(p.ctx, "bash", "-euo", "pipefail", "-c",
			`kubectl() { command `+kubectl+` "$@"; }`+"\n"+
				command)
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "NS="+p.namespace, "RUN=run")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s\n%v\n%s", command, err, out)
		}
		if strings.TrimSpace(string(out)) == "" && !strings.Contains(command, "Denied a status write") {
			t.Errorf("%s\nprints nothing", command)
		}
	}
	wantReady(p)
}

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// shellBlocks returns the blocks of shell commands in a document.
func shellBlocks(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range shellBlock.FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(m[1]))
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no commands", path)
	}
	return blocks
}
