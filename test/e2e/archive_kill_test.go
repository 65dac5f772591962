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
	// kubeconfig is the test's own, unless something is to stand between.
	kubeconfig string
}

// newArchiverProcess writes a configuration; in its section archive, FOLDER stands for this
// archiver's folder.
func newArchiverProcess(t *testing.T, class, archive string) *archiverProcess {
	t.Helper()
	x := &archiverProcess{program: program(t, "../..", "./cmd/archiver"), dir: t.TempDir(), class: class,
		kubeconfig: os.Getenv("KUBECONFIG")}
	x.config = filepath.Join(x.dir, "config.yaml")
	text := "{apiVersion: config.indelible.dev/v1alpha1, kind: Configuration, publisher: {image: none},\narchive: " +
		strings.ReplaceAll(archive, "FOLDER", x.dir) + "}"
	if err := os.WriteFile(x.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return x
}

// start starts it, with a spool of that name; it ends with the test, if it is not killed before.
func (x *archiverProcess) start(t *testing.T, spool string, flags ...string) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(x.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(x.program, append([]string{ //nolint:noctx // it is killed
		"run", "--config", x.config, "--kubeconfig", x.kubeconfig, "--leader-elect=false", "--class", x.class,
		"--spool", filepath.Join(x.dir, spool), "--metrics-address", "127.0.0.1:0", "--health-address", "127.0.0.1:0",
	}, flags...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill(cmd)
		if t.Failed() {
			log, err := os.ReadFile(filepath.Join(x.dir, "log"))
			t.Logf("the archiver's log: %s%v", log, err)
		}
	})
	return cmd
}

// kill ends a process at once, and returns when it is no more.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// An archiver that is killed again and again, at any moment, loses no run, releases none that is
// not archived, and leaves nothing that fsck calls damage; nor do two at work on the same runs.
func TestArchiveThroughKills(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	p, a := newLongPlace(t, 15*time.Minute), newTestArchiveIn(t, root)
	x := newArchiverProcess(t, a.class,
		fmt.Sprintf(`{cluster: e2e, store: "file://%s", index: "sqlite://FOLDER/index.db"}`, root))
	runs := often(100, 20)
	for i := range runs {
		p.create(renamed(a.mine(taskRunOf("- {name: text}", "seq 1 100; printf true > $(results.text.path)")),
			fmt.Sprint("run-", i)))
	}
	kills := 0
	for left := runs; left > 0; kills++ {
		first, second := x.start(t, "spool-1"), x.start(t, "spool-2")
		// random moment, not a wait
		time.Sleep(time.Duration(1000+(kills*377)%2000) * time.Millisecond)
		kill(first)
		kill(second)
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
