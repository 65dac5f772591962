package fsck_test

import (
	"errors"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
)

// place is an archive of three runs with a segment, a hold and an index. All three are marked in
// the cluster.
type place struct {
	*indextest.Archive
	index  index.Index
	rows   []index.Row
	keys   []string
	marked []fsck.Marked
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{Archive: indextest.NewArchive(t)}
	var err error
	if p.index, err = index.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "index.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.index.Close() })
	for n := range 3 {
		row, key := p.Add(t, n, nil)
		p.rows, p.keys = append(p.rows, row), append(p.keys, key)
		p.marked = append(p.marked,
			fsck.Marked{Namespace: row.Commit.Run.Namespace, Name: row.Commit.Run.Name, Run: row.Commit.ID()})
	}
	if err := p.index.Put(t.Context(), p.rows...); err != nil {
		t.Fatal(err)
	}
	if _, err := catalogue.Compact(t.Context(),
		catalogue.Options{Store: p, Cluster: indextest.Cluster, Now: time.Now().AddDate(9, 0, 0)}); err != nil {
		t.Fatal(err)
	}
	if err := retention.Hold(t.Context(), p, indextest.Cluster, p.rows[0].Commit.ID(),
		retention.HoldText{Reason: "audit", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) segment(t *testing.T) string {
	t.Helper()
	return p.Keys(t, indextest.Cluster.Segments())[0]
}

func (p *place) delete(t *testing.T, key string) {
	t.Helper()
	if err := p.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

func TestCheckComparesWithTheCommits(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(t *testing.T, p *place)
		want   []fsck.Kind
		totals fsck.Totals
	}{
		"find nothing where all is well": {
			do:     func(*testing.T, *place) {},
			totals: fsck.Totals{Commits: 3, Parts: 3, Holds: 1, Segments: 1, Rows: 3, Marked: 3},
		},
		"find a row that is missing": {
			do: func(t *testing.T, p *place) {
				if err := p.index.Delete(t.Context(), string(indextest.Cluster), p.rows[1].Commit.Run.UID); err != nil {
					t.Fatal(err)
				}
			},
			want:   []fsck.Kind{fsck.RowMissing},
			totals: fsck.Totals{Commits: 3, Parts: 3, Holds: 1, Segments: 1, Rows: 2, Marked: 3, Cache: 1},
		},
		"find a row that says something else": {
			do: func(t *testing.T, p *place) {
				c := *p.rows[1].Commit
				c.Run.Name = "another"
				if err := p.index.Put(t.Context(), index.Row{Commit: &c, Record: p.rows[1].Record}); err != nil {
					t.Fatal(err)
				}
			},
			want:   []fsck.Kind{fsck.RowDiffers},
			totals: fsck.Totals{Commits: 3, Parts: 3, Holds: 1, Segments: 1, Rows: 3, Marked: 3, Cache: 1},
		},
		"find a commit that is gone, by all that say it was there": {
			do:   func(t *testing.T, p *place) { p.delete(t, p.keys[0]) },
			want: []fsck.Kind{fsck.HeldNotArchived, fsck.StaleSegment, fsck.RowSurplus, fsck.NotArchived},
			totals: fsck.Totals{Commits: 2, Parts: 2, Holds: 1, Segments: 1, Rows: 3, Marked: 3, Damaged: 2,
				Cache: 2},
		},
		"name a damaged commit once": {
			do:     func(t *testing.T, p *place) { p.Cut(t, p.keys[1]) },
			want:   []fsck.Kind{fsck.DamagedCommit},
			totals: fsck.Totals{Commits: 3, Parts: 2, Holds: 1, Segments: 1, Rows: 3, Marked: 3, Damaged: 1},
		},
		"find a damaged segment": {
			do:     func(t *testing.T, p *place) { p.Damage(t, p.segment(t)) },
			want:   []fsck.Kind{fsck.DamagedSegment},
			totals: fsck.Totals{Commits: 3, Parts: 3, Holds: 1, Segments: 1, Rows: 3, Marked: 3, Cache: 1},
		},
		"not miss segments": {
			do:     func(t *testing.T, p *place) { p.delete(t, p.segment(t)) },
			totals: fsck.Totals{Commits: 3, Parts: 3, Holds: 1, Rows: 3, Marked: 3},
		},
		"find what is no hold and no segment": {
			do: func(t *testing.T, p *place) {
				for _, prefix := range []string{indextest.Cluster.Holds(), indextest.Cluster.Segments()} {
					if err := p.Create(t.Context(), prefix+"note", strings.NewReader("x")); err != nil {
						t.Fatal(err)
					}
				}
			},
			want:   []fsck.Kind{fsck.Stranger, fsck.Stranger},
			totals: fsck.Totals{Commits: 3, Parts: 3, Holds: 1, Segments: 1, Rows: 3, Marked: 3, Strangers: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			test.do(t, p)
			var got []fsck.Kind
			totals, err := fsck.Check(t.Context(), fsck.Options{
				Store: p, Index: p.index, Cluster: indextest.Cluster, Grace: time.Hour, Now: time.Now(),
				Marked: yield(p.marked, nil),
				Found: func(f fsck.Finding) {
					if f.Damage() && f.Cache() || f.Key == "" {
						t.Errorf("%+v", f)
					}
					got = append(got, f.Kind)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if totals.Bytes = 0; totals != test.totals {
				t.Errorf("got %+v, want %+v", totals, test.totals)
			}
		})
	}
}

func yield(marked []fsck.Marked, last error) iter.Seq2[fsck.Marked, error] {
	return func(yield func(fsck.Marked, error) bool) {
		for _, m := range marked {
			if !yield(m, nil) {
				return
			}
		}
		if last != nil {
			yield(fsck.Marked{}, last)
		}
	}
}

// A failed read is an error, not a finding.
func TestCheckStopsWhereItCannotLook(t *testing.T) {
	p := newPlace(t)
	down := errors.New("the API server is down")
	found := func(f fsck.Finding) { t.Error(f) }
	if _, err := fsck.Check(t.Context(),
		fsck.Options{Store: p, Cluster: indextest.Cluster, Now: time.Now(), Found: found,
			Marked: yield(p.marked, down)}); !errors.Is(err, down) {
		t.Errorf("got %v, want %v", err, down)
	}
	if err := p.index.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := fsck.Check(t.Context(),
		fsck.Options{Store: p, Cluster: indextest.Cluster, Now: time.Now(), Found: found, Index: p.index}); err == nil {
		t.Error("an index that is closed is no error")
	}
}
