//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/test/harness"
)

// A log that the kubelet rotates while the step runs is complete if it was followed; if it was
// collected at the end, what is left of it is marked truncated. 210 MB in the long form.
func TestArchiveOfARotatedLog(t *testing.T) {
	t.Parallel()
	p := newLongPlace(t, 15*time.Minute)
	followed, collected := newArchivist(t, directory(t), archiver.Follow),
		newArchivist(t, directory(t), archiver.Collect)
	// Each piece exceeds the 10 MiB at which the kubelet rotates, which it checks every 10 s.
	pieces, lines := often(14, 2), 15_000
	script := fmt.Sprintf(
		`for i in $(seq %d); do awk 'BEGIN{for(i=1;i<=%d;i++) printf "%%01000d\n", i}'; sleep 12; done; echo end`,
		pieces, lines)
	p.create(followed.mine(taskRunOf("- {name: text}", script)))
	p.create(renamed(collected.mine(taskRunOf("- {name: text}", script)), "run-collected"))
	var want bytes.Buffer
	for range pieces {
		for i := range lines {
			fmt.Fprintf(&want, "%01000d\n", i+1)
		}
	}
	want.WriteString("end\n")
	log := partsOf(followed.commit(p, "TaskRun", "run"), manifest.Log)[0]
	// On a machine so busy that the kubelet may have rotated twice before the stream was read, the
	// archiver says that it cannot know.
	unsure := log.State == manifest.Truncated && strings.Contains(log.Reason, "rotated")
	got := followed.content(p, log)
	if !unsure && (log.State != manifest.Complete || got != want.String()) ||
		unsure && !lacksOnlyLines(got, want.String()) {
		t.Errorf("%s because %q, %s; want %s", log.State, log.Reason, fingerprint([]byte(got)),
			fingerprint(want.Bytes()))
	}
	t.Logf("the followed log is %s %s; that it has all %d bytes is %v", log.State, log.Reason, want.Len(),
		got == want.String())
	log = partsOf(collected.commit(p, "TaskRun", "run-collected"), manifest.Log)[0]
	if got = collected.content(p, log); log.State != manifest.Truncated || !strings.Contains(log.Reason, "rotated") ||
		!strings.HasSuffix(want.String(), got) {
		t.Errorf("%s because %q, %s", log.State, log.Reason, fingerprint([]byte(got)))
	}
	p.archived("run")
	p.archived("run-collected")
}

// lacksOnlyLines reports whether got is want without some of its lines, and ends as want does.
func lacksOnlyLines(got, want string) bool {
	next, end := iter.Pull(strings.Lines(want))
	defer end()
	for line := range strings.Lines(got) {
		for {
			wanted, ok := next()
			if !ok {
				return false
			}
			if wanted == line {
				break
			}
		}
	}
	_, more := next()
	return !more
}

// The archive is written whatever the clocks say.
func TestArchiveByWrongClocks(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"two hours slow": -2 * time.Hour, "two hours fast": 2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
			a.stop()
			a.now = func() time.Time { return time.Now().Add(off) }
			a.start(t, archiver.Follow)
			p.create(a.mine(taskRunOf("- {name: text}", "echo hello; printf true > $(results.text.path)")))
			c := a.commit(p, "TaskRun", "run")
			p.archived("run")
			if diff := cmp.Diff([]string{"step-write 0 complete: hello"}, a.logsOf(p, c)); diff != "" {
				t.Error(diff)
			}
			a.indexed(p, c)
		})
	}
}

// Damage in the store is found, and never served or taken for an archived run.
func TestArchiveWithDamagedObjects(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	p, a := newPlace(t), newTestArchiveIn(t, root)
	p.create(a.mine(taskRunOf("- {name: text}", "echo hello; printf true > $(results.text.path)")))
	tr := p.taskRun("run")
	ref := run.Reference{Kind: "TaskRun", Namespace: p.namespace, Name: "run"}
	key, err := layout.Cluster("e2e").Commit(layout.Run{Created: tr.CreationTimestamp.Time, UID: string(tr.UID)})
	if err != nil {
		t.Fatal(err)
	}
	// The run's commit was truncated before the archiver comes to release the run.
	path := filepath.Join(root, key)
	if _, err := a.archiver.Archive(p.ctx, ref, false); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, whole[:len(whole)/2], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.archiver.Archive(p.ctx, ref, true); err == nil ||
		!strings.Contains(err.Error(), manifest.ErrDamaged.Error()) {
		t.Errorf("got %v", err)
	}
	if tr := p.taskRun("run"); tr.Annotations[archivedAt] != "" {
		t.Error("released, with a damaged commit")
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	a.want(p, ref, archiver.Archived)
	a.fsck(p, 1)
}

// While the API server is down nothing is archived, and afterwards everything is.
func TestArchiveThroughARestartOfTheAPIServer(t *testing.T) {
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	var names []string
	for i := range 5 {
		names = append(names, fmt.Sprintf("run-%d", i))
		p.create(renamed(a.mine(taskRunOf("- {name: text}",
			"echo started; until [ -e /tekton/home/go ]; do sleep 0.2; done; echo done")), names[i]))
	}
	pods := map[string]string{}
	for _, name := range names {
		pods[name] = p.running(name, "step-write")
		waitForLog(p, pods[name], "step-write", "started")
	}
	restartAPIServer(p)
	for _, name := range names {
		p.eventually("the step to be released", func() (bool, error) {
			_, err := cluster.Kubectl(p.ctx, "exec", pods[name], "-n", p.namespace, "-c", "step-write", "--", "touch",
				"/tekton/home/go")
			return err == nil, nil
		})
	}
	for _, name := range names {
		c := a.commit(p, "TaskRun", name)
		logs := a.logsOf(p, c)
		for i := range logs {
			// A restarted API server is not an endpoint of its service at once: a step may end with
			// the publisher's message about that.
			logs[i], _, _ = strings.Cut(logs[i], " indelible: cannot publish results yet: ")
		}
		if diff := cmp.Diff([]string{"step-write 0 complete: started done"}, logs); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, name := range names {
		p.archived(name)
	}
	a.fsck(p, len(names))
}

// With a full etcd runs can be archived but not released: they stay, a metric says why, and they
// continue once there is room.
func TestArchiveWithAFullEtcd(t *testing.T) {
	p := newPlace(t)
	local(p, "status")
	a := newArchivist(t, directory(t), archiver.Follow)
	p.create(a.mine(taskRunOf("- {name: text}", "echo hello; printf true > $(results.text.path)")))
	a.stop()
	p.taskRun("run")
	alarm(p, "ACTIVATE")
	t.Cleanup(func() { alarm(p, "DEACTIVATE") })
	a.start(t, archiver.Follow)
	p.eventually("the archiver to say that it cannot release",
		func() (bool, error) { return a.metric(t, "indelible_archive_waiting_runs", "release") == 1, nil })
	a.commit(p, "TaskRun", "run")
	alarm(p, "DEACTIVATE")
	p.archived("run")
	a.fsck(p, 1)
}

// alarm sets or ends etcd's alarm NOSPACE, with which it refuses writes.
func alarm(p *place, action string) {
	p.t.Helper()
	etcd, err := harness.OpenEtcd(filepath.Dir(os.Getenv("KUBECONFIG")), 1)
	if err == nil {
		// also after the test's time
		err = etcd.Post(context.Background(), "maintenance/alarm",
			map[string]string{"action": action, "alarm": "NOSPACE"},
			nil)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
