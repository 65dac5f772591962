//go:build e2e

package e2e

import (
	"crypto/rand"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
)

// Of two replicas with a bucket and Postgres, one works. When it is killed, the other archives what
// has finished meanwhile; when it is stopped, it hands over at once. The index then equals a
// rebuilt one.
func TestArchiveWithTwoReplicas(t *testing.T) {
	t.Parallel()
	p, r := newLongPlace(t, 2*bound), newPair(t)
	r.start(p, "one")
	r.start(p, "two")
	first := r.leader(p, "")
	for _, name := range []string{"run-1", "run-2"} {
		r.create(p, name, "echo hello")
	}
	for _, name := range []string{"run-1", "run-2"} {
		p.archived(name)
	}
	cut := []string{"run-3", "run-4", "run-5"}
	for _, name := range cut {
		r.create(p, name, "echo started; until [ -e /tekton/home/go ]; do sleep 0.2; done; echo done")
	}
	pods := map[string]string{}
	for _, name := range cut {
		pods[name] = p.running(name, "step-write")
		waitForLog(p, pods[name], "step-write", "started")
	}
	kill(r.replicas[first])
	killed := time.Now()
	for _, name := range cut {
		p.release(pods[name], "step-write")
	}
	second := r.leader(p, first)
	t.Logf("%s after the leader was killed, the other one leads", time.Since(killed).Round(100*time.Millisecond))
	for _, name := range cut {
		p.archived(name)
		if diff := cmp.Diff([]string{"step-write 0 complete: started done"},
			r.logsOf(p, r.commit(p, "TaskRun", name))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}

	r.start(p, first)
	if err := r.replicas[second].Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told := time.Now()
	if err := r.replicas[second].Wait(); err != nil {
		t.Errorf("the leader that was told to end: %v", err)
	}
	r.leader(p, second)
	t.Logf("%s after the leader was told to end, the other one leads", time.Since(told).Round(100*time.Millisecond))
	r.create(p, "run-6", "echo hello")
	p.archived("run-6")
	kill(r.replicas[first])
	r.wantIndex(p, 6)
}

// pair is two archivers that elect a leader.
type pair struct {
	archivist
	process  *archiverProcess
	replicas map[string]*exec.Cmd
}

func newPair(t *testing.T) *pair {
	t.Helper()
	server, database := newS3(t), indextest.Postgres(t)(t)
	r := &pair{replicas: map[string]*exec.Cmd{}}
	r.class, r.store = strings.ToLower(rand.Text()), server.open(t)
	r.process = newArchiverProcess(t, r.class,
		fmt.Sprintf(`{cluster: e2e, store: "%s", index: "%s"}`, server.Store, database))
	var err error
	if r.index, err = index.Open(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.index.Close() })
	return r
}

// start starts a replica. Their Lease is in the test's namespace.
func (r *pair) start(p *place, name string) {
	p.t.Helper()
	r.replicas[name] = r.process.start(p.t, "spool-"+name, "--leader-elect=true", "--namespace", p.namespace,
		"--identity",
		name)
}

// leader waits until there is a leader other than the one given.
func (r *pair) leader(p *place, other string) string {
	p.t.Helper()
	holder := ""
	p.eventually("another leader than "+other, func() (bool, error) {
		lease, err := cluster.Kube.CoordinationV1().Leases(p.namespace).Get(p.ctx, "indelible-archiver",
			metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err == nil && lease.Spec.HolderIdentity != nil {
			holder = *lease.Spec.HolderIdentity
		}
		return holder != "" && holder != other, err
	})
	return holder
}

func (r *pair) create(p *place, name, script string) {
	p.t.Helper()
	p.create(renamed(r.mine(taskRunOf("- {name: text}", script+"; printf true > $(results.text.path)")), name))
}

// wantIndex checks the archive, and that the index equals one rebuilt from it.
func (r *pair) wantIndex(p *place, runs int) {
	p.t.Helper()
	totals := r.check(p, fsck.Options{Index: r.index, Marked: archiver.Marked(p.ctx, cluster.Config, r.class)})
	if totals.Commits != runs || totals.Rows != runs || totals.Marked != runs {
		p.t.Errorf("%d commits, %d rows, %d marked, want %d", totals.Commits, totals.Rows, totals.Marked, runs)
	}
	before := r.rows(p)
	if out, err := exec.CommandContext(p.ctx, r.process.program, "index", "rebuild", "--config",
		r.process.config).CombinedOutput(); err != nil {
		p.t.Fatalf("index rebuild: %v: %s", err, out)
	}
	if diff := cmp.Diff(before, r.rows(p)); diff != "" || len(before) != runs {
		p.t.Errorf("%d rows, and a rebuild makes others: %s", len(before), diff)
	}
}

func (r *pair) rows(p *place) []index.Row {
	p.t.Helper()
	var rows []index.Row
	for row, err := range r.index.Find(p.ctx, index.Query{Cluster: "e2e", Records: true}) {
		if err != nil {
			p.t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}
