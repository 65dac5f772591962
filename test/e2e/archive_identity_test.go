//go:build e2e

package e2e

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/identity"
)

// An archiver does not touch what another cluster has archived under the same name, until it is
// told that this cluster takes its place.
func TestArchiveOfAnotherCluster(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	p, a := newPlace(t), newTestArchiveIn(t, root)
	a.class = strings.ToLower(rand.Text())
	if err := identity.Bind(p.ctx, a.store, "e2e", "another", "a test", time.Now()); err != nil {
		t.Fatal(err)
	}
	x := newArchiverProcess(t, a.class,
		fmt.Sprintf(`{cluster: e2e, store: "file://%s", index: "sqlite://FOLDER/index.db"}`, root))
	x.start(t, "spool")
	p.create(a.mine(taskRunOf("- {name: text}", "printf true > $(results.text.path)")))
	p.taskRun("run")
	p.eventually("the archiver to refuse", func() (bool, error) {
		log, err := os.ReadFile(filepath.Join(x.dir, "log"))
		return strings.Contains(string(log), "archiver adopt --from=another"), err
	})
	if n := len(a.commits(p)); n > 0 {
		t.Errorf("%d runs were archived into another cluster's archive", n)
	}
	adopt := func(from string) (string, error) {
		out, err := exec.CommandContext(p.ctx, x.program, "adopt", "--config", x.config, "--kubeconfig", x.kubeconfig,
			"--from="+from).CombinedOutput()
		return string(out), err
	}
	if out, err := adopt("a-third"); err == nil {
		t.Errorf("adopted from a cluster whose it is not: %s", out)
	}
	if out, err := adopt("another"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p.archived("run")
	a.fsck(p, 1)
}
