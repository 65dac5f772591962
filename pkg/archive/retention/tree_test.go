package retention_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// madeBy says which run created which: 0 is a PipelineRun that created 1, 2 and the PipelineRun 3,
// which created 4. Another one, which is not in the archive, created 5.
var madeBy = map[int]int{1: 0, 2: 0, 3: 0, 4: 3}

// newTree returns an archive of these six runs.
func newTree(t *testing.T, change func(n int, row *index.Row)) *place {
	t.Helper()
	return newPlace(t, func(n int, row *index.Row) {
		if n == 0 || n == 3 {
			row.Commit.Run.Kind = "PipelineRun"
		}
		row.Commit.Run.Namespace = "team"
		if parent, ok := madeBy[n]; ok {
			makeChild(row, parent)
		} else if n == 0 {
			row.Record = []byte(strings.Replace(string(row.Record), `"controller":true`, `"controller":false`, 1))
		}
		if change != nil {
			change(n, row)
		}
	})
}

func makeChild(row *index.Row, parent int) {
	uid := indextest.NewRow(parent).Commit.Run.UID
	row.Record = []byte(strings.ReplaceAll(string(row.Record), row.Commit.Run.Result, uid))
	row.Commit.Run.Result = uid
}

func edit(n int, old, new string) func(int, *index.Row) {
	return func(at int, row *index.Row) {
		if at == n {
			row.Record = []byte(strings.Replace(string(row.Record), old, new, 1))
		}
	}
}

// What a PipelineRun created is kept and deleted with it, whatever policies say about it alone.
func TestApplyToTrees(t *testing.T) {
	failed := func(names ...int) func(int, *index.Row) {
		return func(n int, row *index.Row) {
			if slices.Contains(names, n) {
				row.Commit.Run.Status, row.Commit.Run.Reason = "False", "Failed"
			}
		}
	}
	build, err := labels.Parse("build=yes")
	if err != nil {
		t.Fatal(err)
	}
	hold := func(n int) func(*testing.T, *place) {
		return func(t *testing.T, p *place) {
			t.Helper()
			if err := retention.Hold(t.Context(), p, indextest.Cluster, p.rows[n].Commit.ID(),
				retention.HoldText{Reason: "case 12", At: now}); err != nil {
				t.Fatal(err)
			}
		}
	}
	byStatus := func(status string) []retention.Policy {
		return []retention.Policy{{Name: "p", Status: []string{status}}}
	}
	for name, test := range map[string]struct {
		policies []retention.Policy
		change   func(n int, row *index.Row)
		do       func(t *testing.T, p *place)
		at       time.Duration // after the runs; ten days if zero
		left     string
		damaged  int
		err      error
	}{
		"delete all of it": {policies: everything},
		"the good TaskRuns of a failed PipelineRun are not succeeded": {
			policies: byStatus("Succeeded"), change: failed(0), left: "0 1 2 3 4",
		},
		"they are failed": {policies: byStatus("Failed"), change: failed(0), left: "5"},
		"a failed TaskRun of one that succeeded is not failed": {
			policies: byStatus("Failed"), change: failed(1, 3, 4), left: "0 1 2 3 4 5",
		},
		"labels of a TaskRun do not count": {
			policies: []retention.Policy{{Name: "p", Selector: build}},
			change:   edit(2, `"labels":{`, `"labels":{"build":"yes",`), left: "0 1 2 3 4 5",
		},
		"those of the PipelineRun do": {
			policies: []retention.Policy{{Name: "p", Selector: build}},
			change:   edit(0, `"labels":{`, `"labels":{"build":"yes",`), left: "5",
		},
		"a hold on the PipelineRun holds all": {
			policies: everything, do: hold(0), left: "0 1 2 3 4",
		},
		"a hold on one of its TaskRuns holds all": {
			policies: everything, do: hold(2), left: "0 1 2 3 4",
		},
		"a hold on a TaskRun of a PipelineRun in it holds all": {
			policies: everything, do: hold(4), left: "0 1 2 3 4",
		},
		"a hold by an annotation holds all": {
			policies: everything, change: edit(4, `"annotations":{`, `"annotations":{"indelible.dev/hold":"audit",`),
			left: "0 1 2 3 4",
		},
		"one that is damaged keeps all": {
			policies: everything, do: func(t *testing.T, p *place) { t.Helper(); p.Cut(t, p.keys[2]) }, left: "damaged",
			damaged: 1,
		},
		"what an unknown PipelineRun made is kept a week longer": {
			policies: everything, at: 7 * 24 * time.Hour, left: "5",
		},
		"and not for ever": {
			policies: everything, at: 7*24*time.Hour + 3*time.Hour,
		},
		"a clock that is ahead of the store's deletes nothing": {
			policies: everything, do: func(_ *testing.T, p *place) { p.behind = 10 * 24 * time.Hour },
			left: "0 1 2 3 4 5",
		},
		"nothing is deleted by an index that is being made": {policies: everything, left: "0 1 2 3 4 5",
			err: retention.ErrIncomplete, do: func(t *testing.T, p *place) {
				t.Helper()
				if err := p.index.SetComplete(t.Context(), string(indextest.Cluster), false); err != nil {
					t.Fatal(err)
				}
			}},
		"a hold on who says from another namespace that it made him holds nothing": {policies: everything, left: "2",
			change: func(n int, row *index.Row) {
				if n == 2 {
					row.Commit.Run.Namespace = "elsewhere"
					edit(2, `"annotations":{`, `"annotations":{"indelible.dev/hold":"audit",`)(n, row)
				}
			}},
		"what the index alone counts to it keeps all": {policies: everything, left: "0 1 2 3 4 5",
			do: func(t *testing.T, p *place) {
				t.Helper()
				lie := p.rows[5]
				makeChild(&lie, 0)
				commit := *lie.Commit
				commit.Parts = slices.Clone(commit.Parts)
				commit.Parts[0] = manifest.InlinePart(manifest.Record, lie.Record)
				if err := p.index.Put(t.Context(), index.Row{Commit: commit.Bare(), Record: lie.Record}); err != nil {
					t.Fatal(err)
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTree(t, test.change)
			if test.do != nil {
				test.do(t, p)
			}
			for _, dry := range []bool{true, false} {
				var report []string
				o := p.options(test.policies, &report)
				if o.DryRun = dry; test.at != 0 {
					o.Now = indextest.Created.Add(test.at)
				}
				totals, err := retention.Apply(t.Context(), o)
				if !errors.Is(err, test.err) || totals.Damaged != test.damaged {
					t.Errorf("dry %v: got %+v, %v", dry, totals, err)
				}
				if test.left == "damaged" {
					if keys := p.Keys(t, indextest.Cluster.Commits()); len(keys) != 5 && !dry {
						t.Errorf("left %q", keys)
					}
					continue
				}
				left := p.left(t)
				if got := strings.Join(left, " "); !dry && got != test.left {
					t.Errorf("left %q, want %q; %q", got, test.left, report)
				}
				if want := 6 - len(strings.Fields(test.left)); p.behind == 0 &&
					(totals.Deleted != want || dry && len(left) != 6) {
					t.Errorf("dry %v: deleted %d, want %d, left %q", dry, totals.Deleted, want, left)
				}
				if keys := p.Keys(t, indextest.Cluster.Deletions()); len(keys) > 0 {
					t.Errorf("marks are left: %q", keys)
				}
			}
		})
	}
}

// A hold on a run that is not in the index keeps all runs, because its tree is unknown.
func TestHoldOnARunThatIsNotIndexed(t *testing.T) {
	p := newTree(t, nil)
	id := p.rows[2].Commit.ID()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(retention.Hold(t.Context(), p, indextest.Cluster, id, retention.HoldText{Reason: "case 12", At: now}))
	must(p.index.Delete(t.Context(), string(indextest.Cluster), id.UID))
	var report []string
	if _, err := retention.Apply(t.Context(),
		p.options(everything, &report)); !errors.Is(err, retention.ErrHoldUnknown) ||
		len(p.Keys(t, indextest.Cluster.Commits())) != 6 {
		t.Errorf("got %v, %q", err, report)
	}
	// A hold on a run that is not in the archive keeps nothing.
	must(p.Delete(t.Context(), p.keys[2]))
	if _, err := retention.Apply(t.Context(), p.options(everything, &report)); err != nil ||
		len(p.Keys(t, indextest.Cluster.Commits())) != 0 {
		t.Errorf("got %v, %q", err, report)
	}
}

// interrupted calls before ahead of its nth call. If dies is set, it fails that call and all later
// ones.
type interrupted struct {
	store.Store
	mu       sync.Mutex
	n, calls int
	before   func()
	dies     bool
}

var errKilled = errors.New("killed")

func (s *interrupted) call() error {
	s.mu.Lock() // before runs under the lock, so that no other call intervenes
	defer s.mu.Unlock()
	s.calls++
	if s.calls == s.n && s.before != nil {
		s.before()
	}
	if s.dies && s.calls >= s.n {
		return errKilled
	}
	return nil
}

func (s *interrupted) Create(ctx context.Context, key string, content io.Reader) error {
	if err := s.call(); err != nil {
		return err
	}
	return s.Store.Create(ctx, key, content)
}

func (s *interrupted) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := s.call(); err != nil {
		return nil, err
	}
	return s.Store.Open(ctx, key)
}

func (s *interrupted) Stat(ctx context.Context, key string) (store.Info, error) {
	if err := s.call(); err != nil {
		return store.Info{}, err
	}
	return s.Store.Stat(ctx, key)
}

func (s *interrupted) Delete(ctx context.Context, key string) error {
	if err := s.call(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key)
}

func (s *interrupted) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	if err := s.call(); err != nil {
		return func(yield func(store.Info, error) bool) { yield(store.Info{}, err) }
	}
	return s.Store.List(ctx, prefix, after)
}

// A run of the tree is held at any moment of a deletion. If Hold succeeds, the whole tree stays;
// otherwise it returns ErrDeleting.
func TestHoldAtAnyMoment(t *testing.T) {
	onlyTree := []retention.Policy{{Name: "p", Status: []string{retention.Succeeded}}}
	alone := func(n int, row *index.Row) {
		if n == 5 {
			row.Commit.Run.Status, row.Commit.Run.Reason = "False", "Failed"
		}
	}
	outcomes := map[string]int{}
	for moment := 1; ; moment++ {
		p := newTree(t, alone)
		racing := &interrupted{Store: p, n: moment}
		var held error
		racing.before = func() {
			held = retention.Hold(t.Context(), p, indextest.Cluster, p.rows[[]int{0, 2, 4}[moment%3]].Commit.ID(),
				retention.HoldText{Reason: "late", At: now})
		}
		var report []string
		o := p.options(onlyTree, &report)
		o.Store = racing
		if _, err := retention.Apply(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if racing.calls < moment {
			break
		}
		left := strings.Join(p.left(t), " ")
		switch {
		case held == nil && left == "0 1 2 3 4 5":
			outcomes["held"]++
		case (errors.Is(held, retention.ErrDeleting) || errors.Is(held, store.ErrNotExist)) && left == "5":
			outcomes["too late"]++
		case errors.Is(held, retention.ErrDeleting) && left == "0 1 2 3 4 5":
			outcomes["both gave way"]++
		default:
			t.Errorf("moment %d: hold %v, left %q", moment, held, left)
		}
	}
	if outcomes["held"] == 0 || outcomes["too late"] == 0 {
		t.Errorf("moments say nothing: %v", outcomes)
	}
}

// A deletion killed at any moment is continued by the next Apply: the root, through which the rest
// is found, is deleted last. A hold that was accepted after that keeps the rest.
func TestTreeWhoseDeletionWasKilled(t *testing.T) {
	// Nothing made the others: what made them would be looked for in each hour of 31 days.
	alone := func(n int, row *index.Row) {
		if _, made := madeBy[n]; !made {
			row.Record = []byte(strings.Replace(string(row.Record), `"controller":true`, `"controller":false`, 1))
		}
	}
	for moment := 1; ; moment++ {
		p := newTree(t, alone)
		killed := &interrupted{Store: p, n: moment, dies: true}
		var report []string
		o := p.options(everything, &report)
		o.Store = killed
		_, err := retention.Apply(t.Context(), o)
		if killed.calls < moment {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		wantNoDamage(t, p)
		root, children := false, 0
		for _, key := range p.Keys(t, indextest.Cluster.Commits()) {
			root = root || key == p.keys[0]
			if slices.Contains(p.keys[1:5], key) {
				children++
			}
		}
		if !root && children > 0 {
			t.Errorf("moment %d: %d of its runs are there, and the root is not", moment, children)
		}
		if _, err := retention.Apply(t.Context(), p.options(everything, &report)); err != nil {
			t.Fatal(err)
		}
		if _, err := retention.Sweep(t.Context(),
			retention.SweepOptions{Store: p, Cluster: indextest.Cluster, Now: time.Now().Add(25 * time.Hour),
				Grace: 24 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		if left := p.left(t); len(left) > 0 {
			t.Errorf("moment %d: left %q", moment, left)
		}
	}
}
