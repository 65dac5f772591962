//go:build e2e

package e2e

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A run whose time in the cluster is over leaves only if the archive has its commit, whole, and it
// is still the run that was read. The annotation alone counts for nothing.
func TestArchivePrunesNothingItDoesNotHave(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	p, a := newPlace(t), newTestArchiveIn(t, root)
	p.create(a.mine(taskRunOf("- {name: text}", "printf true > $(results.text.path)")))
	p.create(renamed(a.mine(taskRunOf("- {name: text}", "printf true > $(results.text.path)")), "run-other"))
	ref := run.Reference{Kind: "TaskRun", Namespace: p.namespace, Name: "run"}
	paths, whole := map[string]string{}, map[string][]byte{}
	for _, name := range []string{"run", "run-other"} {
		tr := p.taskRun(name)
		a.want(p, run.Reference{Kind: "TaskRun", Namespace: p.namespace, Name: name}, archiver.Archived)
		key, err := layout.Cluster("e2e").Commit(layout.Run{Created: tr.CreationTimestamp.Time, UID: string(tr.UID)})
		if err != nil {
			t.Fatal(err)
		}
		paths[name] = filepath.Join(root, key)
		if whole[name], err = os.ReadFile(paths[name]); err != nil {
			t.Fatal(err)
		}
	}
	a.now = func() time.Time { return time.Now().Add(keep) }

	for _, damage := range []struct {
		name, err string
		content   []byte
	}{
		{"a commit that is missing", "", nil},
		{"a commit that was cut off", manifest.ErrDamaged.Error(), whole["run"][:len(whole["run"])/2]},
		{"another run's commit", manifest.ErrDamaged.Error(), whole["run-other"]},
		{"something else than a commit", manifest.ErrDamaged.Error(), []byte("{}")},
	} {
		t.Run(damage.name, func(t *testing.T) {
			err := os.Remove(paths["run"])
			if damage.content != nil {
				err = os.WriteFile(paths["run"], damage.content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			result, err := a.archiver.Archive(p.ctx, ref, true)
			if result.Outcome == archiver.Pruned || (err == nil) != (damage.err == "") ||
				err != nil && !strings.Contains(err.Error(), damage.err) {
				t.Errorf("%+v, %v; want no pruning and an error with %q", result, err, damage.err)
			}
			if _, err := cluster.TaskRun(p.ctx, p.namespace, "run"); err != nil {
				t.Errorf("the run is gone: %v", err)
			}
			if err := os.WriteFile(paths["run"], whole["run"], 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("a run that changes meanwhile", func(t *testing.T) {
		changing := a.with(t, &changingStore{Store: a.store, change: func() {
			p.kubectl("label", "taskrun", "run", "-n", p.namespace, "changed=yes")
		}})
		if result, err := changing.Archive(p.ctx, ref, true); err != nil || result.Outcome != archiver.Archived {
			t.Errorf("%+v, %v; want that it stays", result, err)
		}
		if _, err := cluster.TaskRun(p.ctx, p.namespace, "run"); err != nil {
			t.Errorf("the run is gone: %v", err)
		}
	})
	a.want(p, ref, archiver.Pruned)
	a.fsck(p, 2)
}

// changingStore calls change once, when a commit is read.
type changingStore struct {
	store.Store
	change func()
}

func (c *changingStore) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if c.change != nil && strings.Contains(key, "/commits/") {
		c.change()
		c.change = nil
	}
	return c.Store.Open(ctx, key)
}

// A user who takes the mark off an archived run has it looked at again: the archive has it, and the
// mark comes back. No second commit is written.
func TestArchiveMarksARunAgain(t *testing.T) {
	t.Parallel()
	p, a := newPlace(t), newArchivist(t, directory(t), archiver.Follow)
	p.create(a.mine(taskRunOf("- {name: text}", "echo hello; printf true > $(results.text.path)")))
	first := a.commit(p, "TaskRun", "run")
	p.archived("run")
	p.kubectl("annotate", "taskrun", "run", "-n", p.namespace, archivedAt+"-", "results.tekton.dev/stored-")
	tr := p.archived("run")
	if tr.Annotations["results.tekton.dev/stored"] != "true" {
		t.Errorf("annotations: %v", tr.Annotations)
	}
	if all := a.commits(p); len(all) != 1 || !all[0].CommittedAt.Equal(first.CommittedAt) {
		t.Errorf("%d commits, want the one of before", len(all))
	}
	a.fsck(p, 1)
}
