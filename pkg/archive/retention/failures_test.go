package retention_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// unreadable is a store that fails to read what is in keys, or all.
type unreadable struct {
	*place
	keys  []string
	opens atomic.Int64
}

var errAway = errors.New("connection reset")

func (u *unreadable) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if u.keys == nil || slices.Contains(u.keys, key) {
		u.opens.Add(1)
		return nil, errAway
	}
	return u.place.Open(ctx, key)
}

// A tree that cannot be dealt with keeps neither other trees nor Results.
func TestOneTreesErrorIsItsOwn(t *testing.T) {
	p := newTree(t, nil)
	p.written(t, 9, object.Object{Kind: object.Result, Parent: "tools", Result: "a", Data: []byte(`{}`)})
	var report []string
	o := p.options(everything, &report)
	o.Store = &unreadable{place: p, keys: []string{p.keys[2]}}
	if _, err := retention.Apply(t.Context(), o); !errors.Is(err, errAway) {
		t.Errorf("got %v", err)
	}
	slices.Sort(report)
	if got := strings.Join(report, ", "); got != "deleted 5, deleted a" {
		t.Errorf("got %s", got)
	}
	if left := strings.Join(p.left(t), " "); left != "0 1 2 3 4" {
		t.Errorf("left %s", left)
	}
}

// A store that reads nothing is not asked about every tree.
func TestManyErrorsEndRetention(t *testing.T) {
	p := newPlace(t, nil)
	for n := range 200 {
		row, _ := p.Add(t, 10+n, nil)
		if err := p.index.Put(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	var report []string
	o := p.options(everything, &report)
	away := &unreadable{place: p}
	o.Store = away
	_, err := retention.Apply(t.Context(), o)
	if !errors.Is(err, errAway) || len(report) > 0 {
		t.Errorf("got %v, %q", err, report)
	}
	if n := away.opens.Load(); n > retention.MaxFailures+16 {
		t.Errorf("asked %d times", n)
	}
}

// A tree that is too large to be deleted at once waits, and the others do not.
func TestLargeTrees(t *testing.T) {
	for most, want := range map[int]string{4: "0 1 2 3 4", 5: ""} {
		p := newTree(t, nil)
		undo := retention.SetMaxMembers(most)
		var report []string
		totals, err := retention.Apply(t.Context(), p.options(everything, &report))
		undo()
		if left := strings.Join(p.left(t), " "); err != nil || left != want {
			t.Errorf("at most %d: left %q, %v; %q", most, left, err, report)
		}
		if want != "" && (totals.Kept != 1 || !slices.Contains(report, "kept 0")) {
			t.Errorf("%+v, %q", totals, report)
		}
	}
}

// twice is a store behind a client that repeats a request whose answer was lost.
type twice struct{ store.Store }

func (s twice) Create(ctx context.Context, key string, content io.Reader) error {
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if err := s.Store.Create(ctx, key, strings.NewReader(string(text))); err != nil {
		return err
	}
	return s.Store.Create(ctx, key, strings.NewReader(string(text)))
}

func TestDeleteByRepeatedRequests(t *testing.T) {
	p := newTree(t, nil)
	var report []string
	o := p.options(everything, &report)
	o.Store = twice{p}
	if _, err := retention.Apply(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if left := p.left(t); len(left) > 0 {
		t.Errorf("left %q, %q", left, report)
	}
	if keys := p.Keys(t, indextest.Cluster.Deletions()); len(keys) > 0 {
		t.Errorf("marks are left: %q", keys)
	}
}

func TestHoldByRepeatedRequests(t *testing.T) {
	mine, other := retention.HoldText{Reason: "mine", At: now}, retention.HoldText{Reason: "another's", At: now}
	mark := func(t *testing.T, p *place, run layout.Run) {
		t.Helper()
		key, err := indextest.Cluster.Deletion(run, "anotherwriter")
		if err == nil {
			err = p.Create(t.Context(), key, strings.NewReader(""))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	hold := func(t *testing.T, p *place, run layout.Run) {
		t.Helper()
		if err := retention.Hold(t.Context(), p, indextest.Cluster, run, other); err != nil {
			t.Fatal(err)
		}
	}
	type steps []func(*testing.T, *place, layout.Run)
	for name, test := range map[string]struct {
		do   steps
		want error
		left string
	}{
		"hold":                               {nil, nil, "mine"},
		"leave another's hold":               {steps{hold}, store.ErrExists, "another's"},
		"not hold what is being deleted":     {steps{mark}, retention.ErrDeleting, "mine"},
		"say so where another holds it, too": {steps{hold, mark}, retention.ErrDeleting, "another's"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, func(int, *index.Row) {})
			run := p.rows[0].Commit.ID()
			for _, do := range test.do {
				do(t, p, run)
			}
			if err := retention.Hold(t.Context(), twice{p}, indextest.Cluster, run, mine); !errors.Is(err, test.want) ||
				test.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, test.want)
			}
			there, err := retention.Held(t.Context(), p, indextest.Cluster, run)
			if err != nil || (there == nil) != (test.left == "") || there != nil && there.Reason != test.left {
				t.Errorf("left %+v, %v; want %q", there, err, test.left)
			}
		})
	}
}
