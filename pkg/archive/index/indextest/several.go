package indextest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/indelible-ci/indelible/pkg/archive/index"
)

// Tests of several callers, programs and clusters, and of a database that does not answer.

func testConcurrent(t *testing.T, open func() index.Index) {
	const workers, each = 16, 8
	indexes := []index.Index{open(), open()}
	var group sync.WaitGroup
	var rows []index.Row
	for w := range workers {
		mine := make([]index.Row, each)
		for i := range mine {
			mine[i] = NewRow(w*each + i)
		}
		rows = append(rows, mine...)
		group.Go(func() {
			x := indexes[w%len(indexes)]
			for _, row := range mine {
				if err := x.Put(t.Context(), row); err != nil {
					t.Error(err)
				}
				if _, err := indexes[(w+1)%len(indexes)].Get(t.Context(), string(Cluster),
					row.Commit.Run.UID); err != nil {
					t.Errorf("it was put, and another reader does not see it: %v", err)
				}
			}
			if err := x.Put(t.Context(), broken()); err == nil {
				t.Error("a broken commit is taken")
			}
		})
	}
	group.Wait()
	sortRows(rows)
	wantFound(t, open(), index.Query{Records: true}, rows...)
}

// broken is a row that every index rejects.
func broken() index.Row {
	row := NewRow(0)
	row.Commit.Parts = nil
	return row
}

func testErrors(t *testing.T, open func() index.Index) {
	x := open()
	row := put(t, x, 1)[0]
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantErrors(ended, t, x, row)
	must(t, x.Close())
	wantErrors(t.Context(), t, x, row)
}

func wantErrors(ctx context.Context, t *testing.T, x index.Index, row index.Row) {
	t.Helper()
	_, get := x.Get(ctx, string(Cluster), row.Commit.Run.UID)
	var find, keys error
	for _, find = range x.Find(ctx, index.Query{}) {
		break
	}
	for _, keys = range x.Keys(ctx, string(Cluster), "") {
		break
	}
	for what, err := range map[string]error{"Get": get, "Find": find, "Keys": keys, "Put": x.Put(ctx, row),
		"Delete": x.Delete(ctx, string(Cluster), "a")} {
		if err == nil || errors.Is(err, index.ErrNotFound) {
			t.Errorf("%s: got %v, want an error that says that nothing is known", what, err)
		}
	}
}

func testDeleteWhileFinding(t *testing.T, open func() index.Index) {
	x := open()
	put(t, x, 100)
	n := 0
	for row, err := range x.Find(t.Context(), index.Query{Records: true}) {
		must(t, err)
		must(t, x.Delete(t.Context(), string(Cluster), row.Commit.Run.UID))
		n++
	}
	if n != 100 {
		t.Errorf("found %d, want 100", n)
	}
	wantFound(t, x, index.Query{})
}

func testClusters(t *testing.T, open func() index.Index) {
	x := open()
	one := put(t, x, 1)[0]
	c := *one.Commit
	c.Cluster, c.Parts = "test", slices.Clone(c.Parts[:1])
	two := index.Row{Commit: &c, Record: one.Record}
	must(t, x.Put(t.Context(), two))
	wantRow(t, x, one)
	wantRow(t, x, two)
	must(t, x.Delete(t.Context(), "test", c.Run.UID))
	wantFound(t, x, index.Query{}, one)
}

func testPutAndDelete(t *testing.T, open func() index.Index) {
	rows := []index.Row{NewRow(0), NewRow(1), NewRow(2)}
	var group sync.WaitGroup
	for w := range 4 {
		x := open()
		group.Go(func() {
			for range 10 {
				if err := x.Put(t.Context(), rows[w%3], rows[(w+1)%3]); err != nil {
					t.Error(err)
				}
				if err := x.Delete(t.Context(), string(Cluster), rows[w%3].Commit.Run.UID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	x := open()
	must(t, x.Put(t.Context(), rows...))
	for _, row := range rows {
		wantRow(t, x, row)
	}
}

func put(t *testing.T, x index.Index, n int) []index.Row {
	t.Helper()
	rows := make([]index.Row, n)
	for i := range rows {
		rows[i] = NewRow(i)
	}
	must(t, x.Put(t.Context(), rows...))
	return rows
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantRow(t *testing.T, x index.Index, want index.Row) {
	t.Helper()
	got, err := x.Get(t.Context(), want.Commit.Cluster, want.Commit.Run.UID)
	must(t, err)
	if !reflect.DeepEqual(want, got) { // a diff of a megabyte helps nobody
		t.Error(gocmp.Diff(want, got))
	}
}

// wantFound compares all that a query finds, with records if it asks for them.
func wantFound(t *testing.T, x index.Index, q index.Query, want ...index.Row) {
	t.Helper()
	var got []index.Row
	for row, err := range x.Find(t.Context(), q) {
		must(t, err)
		got = append(got, row)
	}
	if len(got) != len(want) {
		t.Fatalf("found %d rows, want %d", len(got), len(want))
	}
	for i, w := range want {
		if !q.Records {
			w.Record = nil
		}
		if !reflect.DeepEqual(w, got[i]) { // a diff of a thousand records helps nobody
			t.Fatalf("row %d: %s", i, gocmp.Diff(w, got[i]))
		}
	}
}
