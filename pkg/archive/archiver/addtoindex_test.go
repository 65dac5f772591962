package archiver

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/index"
)

// refusingIndex refuses every run for what it is.
type refusingIndex struct {
	index.Index
	puts int
}

func (x *refusingIndex) Put(context.Context, ...index.Row) error {
	x.puts++
	return fmt.Errorf("index: put 1 rows: %w: too long", index.ErrRefused)
}

// A run that the index refuses is archived, and leaves the cluster. Sync and fsck both name its
// commit, and the index is complete without it.
func TestARunThatTheIndexRefuses(t *testing.T) {
	x, err := index.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	refusing := &refusingIndex{Index: x}
	a := (&cluster{t: t, object: finished("TaskRun", "", "", "")}).archiver(None, refusing)
	registry := prometheus.NewRegistry()
	a.Metrics = NewMetrics(registry)
	commit := archived(t, a, "TaskRun")
	key, err := commit.Key()
	if err != nil {
		t.Fatal(err)
	}
	if n := counter(t, registry, "indelible_archive_unindexed_total"); n != 1 || refusing.puts != 1 {
		t.Errorf("%v were counted, after %d tries", n, refusing.puts)
	}
	var synced, checked []string
	totals, err := index.Sync(t.Context(), index.SyncOptions{Store: a.Store, Index: refusing, Cluster: a.Cluster,
		Damaged: func(key string, _ error) { synced = append(synced, key) }})
	if err != nil || totals.Damaged != 1 || len(synced) != 1 || synced[0] != key {
		t.Errorf("sync: %+v, %q, %v", totals, synced, err)
	}
	_, err = fsck.Check(t.Context(), fsck.Options{Store: a.Store, Index: x, Cluster: a.Cluster, Now: time.Now(),
		Found: func(f fsck.Finding) { checked = append(checked, f.String()) }})
	if want := string(fsck.RowMissing) + ": " + key; err != nil || len(checked) != 1 || checked[0] != want {
		t.Errorf("fsck: %q, %v", checked, err)
	}
	if complete, err := x.Complete(t.Context(), string(a.Cluster)); err != nil || !complete {
		t.Errorf("the index is complete: %v, %v", complete, err)
	}
}

func counter(t *testing.T, from prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("there is no " + name)
	return 0
}
