//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs are those that tests start as processes of their own. Each is linked once for all tests:
// that takes longer than many a test. TestMain removes them.
var programs = struct {
	sync.Mutex
	dir   string
	built map[string]string
}{built: map[string]string{}}

// program builds a command of a module, and returns its path.
func program(t *testing.T, module, command string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	if path := programs.built[command]; path != "" {
		return path
	}
	path, err := buildProgram(module, command)
	if err != nil {
		t.Fatal(err)
	}
	programs.built[command] = path
	return path
}

func buildProgram(module, command string) (string, error) {
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "indelible-e2e-")
		if err != nil {
			return "", err
		}
		programs.dir = dir
	}
	path := filepath.Join(programs.dir, filepath.Base(command))
	// Not the test's context: the next test may want it, too.
	if out, err := exec.Command("go", "-C", module, "build", "-o", path,
		command).CombinedOutput(); err != nil { //nolint:noctx // see above
		return "", fmt.Errorf("building %s: %w\n%s", command, err, out)
	}
	return path, nil
}

func removePrograms() { _ = os.RemoveAll(programs.dir) }
