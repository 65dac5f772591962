package retention_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
)

// A run that is archived and not in the index belongs to its tree all the same.
func TestTreesWithRunsThatAreNotIndexed(t *testing.T) {
	lose := func(n int) func(*testing.T, *place) {
		return func(t *testing.T, p *place) {
			t.Helper()
			if err := p.index.Delete(t.Context(), string(indextest.Cluster), p.rows[n].Commit.Run.UID); err != nil {
				t.Fatal(err)
			}
		}
	}
	damage := func(n int) func(*testing.T, *place) {
		return func(t *testing.T, p *place) {
			t.Helper()
			lose(n)(t, p)
			p.Cut(t, p.keys[n])
		}
	}
	refer := func(parent int, names ...string) func(int, *index.Row) {
		children := ""
		for _, name := range names {
			children += `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","name":"` + name + `"},`
		}
		return edit(parent, `"status":{`, `"status":{"childReferences":[`+strings.TrimSuffix(children, ",")+`],`)
	}
	for name, test := range map[string]struct {
		change func(n int, row *index.Row)
		do     func(t *testing.T, p *place)
		// left are the runs whose commits are left.
		left []int
	}{
		"one that is held holds it": {
			edit(1, `"annotations":{`, `"annotations":{"indelible.dev/hold":"audit",`), lose(1), []int{0, 1, 2, 3, 4}},
		"one that is not held keeps it until it is indexed": {nil, lose(2), []int{0, 1, 2, 3, 4}},
		"one of a PipelineRun in it does":                   {nil, lose(4), []int{0, 1, 2, 3, 4}},
		"the PipelineRun that made all keeps them":          {nil, lose(0), []int{0, 1, 2, 3, 4}},
		"that, if it cannot be read":                        {nil, damage(0), []int{0, 1, 2, 3, 4}},
		"one that cannot be read keeps the tree that misses one": {
			refer(0, "1", "2"), damage(2), []int{0, 1, 2, 3, 4}},
		"one that cannot be read keeps no tree that has all its runs": {
			refer(0, "1", "2"), damage(5), []int{5}},
		"one that was never archived keeps nothing": {refer(0, "1", "2", "opted-out"), nil, nil},
		"one that was deleted keeps nothing": {refer(0, "1", "2"), func(t *testing.T, p *place) {
			t.Helper()
			lose(2)(t, p)
			p.uncommit(t, 2)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTree(t, test.change)
			if test.do != nil {
				test.do(t, p)
			}
			var report []string
			if _, err := retention.Apply(t.Context(), p.options(everything, &report)); err != nil {
				t.Fatal(err)
			}
			commits := p.Keys(t, indextest.Cluster.Commits())
			for n, key := range p.keys {
				if there := slices.Contains(commits, key); there != slices.Contains(test.left, n) {
					t.Errorf("run %d is left: %v; %q", n, there, report)
				}
			}
		})
	}
}
