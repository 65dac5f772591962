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

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// archiverProcess is an archiver in a process of its own, which can be killed.
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

// unarchived returns how many TaskRuns of the place do not say that they are in the archive.
func (p *place) unarchived() int {
	p.t.Helper()
	left := 0
	for _, tr := range p.taskRuns() {
		if tr.Annotations[archivedAt] == "" {
			left++
		}
	}
	return left
}

// released checks that all runs that say so are in the archive.
func (a *testArchive) released(p *place) {
	p.t.Helper()
	taskRuns, there := p.taskRuns(), map[string]bool{}
	for _, c := range a.commits(p) {
		there[c.Run.UID] = true
	}
	for _, tr := range taskRuns {
		if tr.Annotations[archivedAt] != "" && !there[string(tr.UID)] {
			p.t.Errorf("%s is released, and not in the archive", tr.Name)
		}
	}
}

// taskRuns are all of the place.
func (p *place) taskRuns() []pipelinev1.TaskRun {
	p.t.Helper()
	list, err := cluster.Tekton.TektonV1().TaskRuns(p.namespace).List(p.ctx, metav1.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return list.Items
}
