//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is an archiver in a process of its own, which can be killed.
type archiverProcess struct {
	program, config, dir, class string
}

// newArchiverProcess builds the program, and writes a configuration with a directory of its own.
func newArchiverProcess(t *testing.T, a *testArchive, root string) *archiverProcess {
	t.Helper()
	x := &archiverProcess{dir: t.TempDir(), class: a.class}
	x.program, x.config = filepath.Join(x.dir, "archiver"), filepath.Join(x.dir, "config.yaml")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", x.program, "../../cmd/archiver").CombinedOutput(); err != nil {
		t.Fatalf("building the archiver: %v\n%s", err, out)
	}
	text := fmt.Sprintf(`{apiVersion: config.indelible.dev/v1alpha1, kind: Configuration, publisher: {image: none},
archive: {cluster: e2e, store: "file://%s", index: "sqlite://%s/index.db"}}`, root, x.dir)
	if err := os.WriteFile(x.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return x
}

// start starts it; it ends with the test, if it is not killed before.
func (x *archiverProcess) start(t *testing.T, n int) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(x.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(x.program, "run", "--config", x.config, "--kubeconfig", os.Getenv("KUBECONFIG"), "--leader-elect=false", "--class", x.class, //nolint:noctx // it is killed
		"--spool", filepath.Join(x.dir, fmt.Sprint("spool-", n)), "--metrics-address", "127.0.0.1:0", "--health-address", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// An archiver that is killed again and again, at any moment, loses no run, releases none that is not in the archive, and leaves
// nothing that fsck calls damage; nor do two that work at the same runs.
func TestArchiveThroughKills(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	p, a := newLongPlace(t, 15*time.Minute), newTestArchiveIn(t, root)
	x := newArchiverProcess(t, a, root)
	runs := often(100, 20)
	for i := range runs {
		p.create(strings.Replace(a.mine(taskRunOf("- {name: text}", "seq 1 100; printf true > $(results.text.path)")), "name: run}", fmt.Sprintf("name: run-%d}", i), 1))
	}
	kills := 0
	for left := runs; left > 0; kills++ {
		first, second := x.start(t, 1), x.start(t, 2)
		time.Sleep(time.Duration(1000+(kills*377)%2000) * time.Millisecond) // not to wait for anything: the moment is to be any
		for _, cmd := range []*exec.Cmd{first, second} {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if left = p.unarchived(); p.ctx.Err() != nil {
			t.Fatalf("%d runs are not archived after %d kills", left, kills)
		}
		a.released(p)
	}
	t.Logf("%d runs, %d kills of two archivers at a time", runs, kills+1)
	a.fsck(p, runs)
}

// unarchived returns how many TaskRuns of the place the archive does not have.
func (p *place) unarchived() int {
	p.t.Helper()
	list, err := cluster.Tekton.TektonV1().TaskRuns(p.namespace).List(p.ctx, listAll)
	if err != nil {
		p.t.Fatal(err)
	}
	left := 0
	for i := range list.Items {
		if list.Items[i].Annotations[archivedAt] == "" {
			left++
		}
	}
	return left
}

// released checks that all runs that are released are in the archive.
func (a *testArchive) released(p *place) {
	p.t.Helper()
	list, err := cluster.Tekton.TektonV1().TaskRuns(p.namespace).List(p.ctx, listAll)
	if err != nil {
		p.t.Fatal(err)
	}
	there := a.uids(p)
	for i := range list.Items {
		tr := &list.Items[i]
		if tr.Annotations[archivedAt] != "" && !there[string(tr.UID)] {
			p.t.Errorf("%s is released, and not in the archive", tr.Name)
		}
	}
}
