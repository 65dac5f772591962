package index_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
)

// Runs of more groups than one statement merges, all committed at the same time: pages sorted by
// the last change have each run once.
func testTiesOfManyGroups(t *testing.T, empty newURL) {
	x := open(t, empty(t))
	var rows []index.Row
	var want []string
	for n := range 300 {
		row := indextest.NewRow(n)
		row.Commit.Run.Namespace = fmt.Sprint("team-", n)
		row.Commit.CommittedAt = indextest.Created
		rows, want = append(rows, row), append(want, row.Commit.Run.UID)
	}
	slices.Sort(want)
	if err := x.Put(t.Context(), rows...); err != nil {
		t.Fatal(err)
	}
	r, err := x.Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	groups, err := r.Groups(t.Context(), string(indextest.Cluster))
	if err != nil {
		t.Fatal(err)
	}
	s := index.Scan{Cluster: string(indextest.Cluster), Path: index.ByGroup, Updated: true, Limit: 40}
	for i := range groups {
		s.Groups = append(s.Groups, groups[i].ID)
	}
	var got []string
	for {
		entries, err := r.Entries(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) > 0 && s.After != nil { // the position is included
			entries = entries[1:]
		}
		if len(entries) == 0 {
			break
		}
		for i := range entries {
			got = append(got, entries[i].UID)
		}
		last := s.Position(&entries[len(entries)-1])
		s.After = &last
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d runs, %d are there; sorted: %v", len(got), len(want), slices.IsSorted(got))
	}
}
