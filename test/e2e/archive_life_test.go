//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store/cloud"
)

// life is a run with an archiver of its own, and an archive of its own in a bucket that all share.
type life struct {
	place
	archivist
	name    string
	process *archiverProcess
	tap     *tap
}

func newLife(t *testing.T, namespace, name string, server *s3) *life {
	t.Helper()
	l := &life{place: place{t: t, namespace: namespace}, name: name, tap: newTap(t, server)}
	l.give(bound)
	l.class = namespace + "-" + name
	prefix := "&prefix=" + name + "/"
	l.process = newArchiverProcess(t, l.class,
		fmt.Sprintf(`{cluster: e2e, store: "%s", index: "sqlite://FOLDER/index.db", keep: 0s}`, l.tap.store+prefix))
	l.process.kubeconfig = l.tap.kubeconfig(t)
	var err error
	if l.store, err = cloud.Open(t.Context(), server.Store+prefix); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.store.Close() })
	return l
}

// start starts the archiver, again if it was killed.
func (l *life) start() *exec.Cmd { return l.process.start(l.t, "spool") }

// begin starts the archiver and, when it watches the cluster, creates the run. Its record is too
// large to be inline in the commit, and so is the log of its first step; that of the second is
// uploaded to S3 in parts when packed, but small enough that kubelets do not rotate it.
func (l *life) begin(b boundary) {
	l.t.Helper()
	l.tap.start(b, l.start)
	l.eventually("the archiver to watch the cluster", func() (bool, error) {
		log, err := os.ReadFile(filepath.Join(l.process.dir, "log"))
		return strings.Contains(string(log), "The state of the cluster is known"), err
	})
	l.create(renamed(l.mine(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    results: [{name: text}]
    steps:
    - {name: small, image: IMAGE, script: "seq 1 10000"}
    - name: large
      image: IMAGE
      script: |
        echo noise and its sum
        head -c 5600000 /dev/urandom | base64 -w 1000 > /tmp/noise
        cat /tmp/noise
        sha256sum < /tmp/noise
        `+writeSample(70_000, "text")), l.name))
}

// standing is a run's state in the cluster and in the archive.
type standing struct {
	Protected, Committed, Indexed, Released, Pruned bool
	// Abandoned is the number of objects that no commit names.
	Abandoned int
}

// wantStanding compares states; in any case everything in the archive must be intact.
func (l *life) wantStanding(want standing) {
	l.t.Helper()
	var got standing
	tr, err := cluster.TaskRun(l.ctx, l.namespace, l.name)
	switch {
	case apierrors.IsNotFound(err):
		got.Pruned = true
	case err != nil:
		l.t.Fatal(err)
	default:
		got.Protected, got.Released = slices.Contains(tr.Finalizers, finalizer), tr.Annotations[archivedAt] != ""
	}
	totals := l.check(&l.place, fsck.Options{})
	got.Committed, got.Abandoned = totals.Commits == 1, totals.Abandoned
	if got.Committed {
		_, err := l.openIndex().Get(l.ctx, "e2e", l.commits(&l.place)[0].Run.UID)
		if got.Indexed = err == nil; err != nil && !errors.Is(err, index.ErrNotFound) {
			l.t.Error(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("how the run stands: %s", diff)
	}
}

func (l *life) openIndex() index.Index {
	l.t.Helper()
	opened, err := index.Open(l.ctx, "sqlite://"+filepath.Join(l.process.dir, "index.db"))
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = opened.Close() })
	return opened
}

// wantWhole checks the end of a life: the run is archived once, completely, and indexed.
func (l *life) wantWhole(abandoned int) {
	l.t.Helper()
	l.index = l.openIndex()
	totals := l.check(&l.place, fsck.Options{Index: l.index, Marked: archiver.Marked(l.ctx, cluster.Config, l.class)})
	if totals.Commits != 1 || totals.Rows != 1 || totals.Abandoned != abandoned {
		l.t.Errorf("%d commits, %d rows, %d abandoned, want 1, 1, %d", totals.Commits, totals.Rows, totals.Abandoned,
			abandoned)
	}
	commit := l.onlyCommit(&l.place)
	l.indexed(&l.place, commit)
	var parts []string
	for _, p := range commit.Parts {
		// on a busy machine the second archiver cannot know whether the first came in time
		if strings.Contains(p.Reason, "rotated") {
			p.State, p.Reason = manifest.Complete, ""
		}
		parts = append(parts, fmt.Sprint(p.Type, " ", p.Container, " ", p.State, p.Reason))
	}
	if diff := cmp.Diff([]string{"record  complete", "events  complete", "log step-small complete",
		"log step-large complete"}, parts); diff != "" {
		l.t.Fatalf("parts: %s", diff)
	}
	var record pipelinev1.TaskRun
	if err := json.Unmarshal([]byte(l.content(&l.place, commit.Parts[0])), &record); err != nil {
		l.t.Error(err)
	}
	wantResults(l.t, record.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(sample(70_000))})
	l.wantLogs(commit)
}

func (l *life) wantLogs(commit *manifest.Commit) {
	l.t.Helper()
	var numbers strings.Builder
	for i := range 10_000 {
		fmt.Fprintln(&numbers, i+1)
	}
	logs := partsOf(commit, manifest.Log)
	if got := l.content(&l.place, logs[0]); got != numbers.String() {
		l.t.Errorf("log of step small: %s", fingerprint([]byte(got)))
	}
	noise, ok := strings.CutPrefix(l.content(&l.place, logs[1]), "noise and its sum\n")
	noise, sum, ok2 := strings.Cut(noise, "=\n") // base64's last line
	digest := sha256.Sum256([]byte(noise + "=\n"))
	if !ok || !ok2 || sum != hex.EncodeToString(digest[:])+"  -\n" {
		l.t.Errorf("log of step large: %s, with %s", fingerprint([]byte(noise)), fingerprint([]byte(sum)))
	}
}
