package indextest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// Run tests indexes that open returns, each on an empty database of its own. Indexes opened by
// another share its rows.
func Run(t *testing.T, open func(t *testing.T) (another func() index.Index)) {
	for name, test := range map[string]func(*testing.T, func() index.Index){
		"get back exactly what was put":                                testGet,
		"replace a row":                                                testReplace,
		"forbid a record that is not the commit's":                     testRecord,
		"forbid a commit that is none, and put nothing with it":        testAllOrNone,
		"say that a run is not there":                                  testNotFound,
		"delete rows, also such that are not there":                    testDelete,
		"find by what is asked for, newest first":                      testFind,
		"find page by page":                                            testPages,
		"find what a run made, and what none of the index made":        testParents,
		"remember of each cluster whether all of it is there":          testComplete,
		"list keys as the bucket does":                                 testKeys,
		"take text that SQL or Postgres would stumble over":            testText,
		"keep a record of a megabyte":                                  testLarge,
		"put from many at once, and from several programs":             testConcurrent,
		"answer a database that is closed or a context with an error":  testErrors,
		"let a caller delete what it is being given":                   testDeleteWhileFinding,
		"keep the same uid in two clusters apart":                      testClusters,
		"put again what another program deletes, and leave both whole": testPutAndDelete,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func testGet(t *testing.T, open func() index.Index) {
	x := open()
	rows := put(t, x, 5)
	rows[2].Commit.Run.Completed = nil
	rows[3].Commit.CommittedAt = time.Date(9999, 1, 2, 3, 4, 5, 6, time.UTC) // clocks may be wrong
	rows[4].Commit.Run.Created = rows[4].Commit.Run.Created.Add(123456789)   // keys have seconds
	must(t, x.Put(t.Context(), rows...))
	for _, want := range rows {
		wantRow(t, open(), want)
	}
}

func testReplace(t *testing.T, open func() index.Index) {
	x := open()
	row := put(t, x, 2)[1]
	changed := NewRow(1)
	changed.Commit.Run.Namespace, changed.Commit.Run.Status, changed.Commit.Versions.Archiver = "other", "False",
		"a later one"
	must(t, x.Put(t.Context(), changed))
	wantRow(t, x, changed)
	wantFound(t, x, index.Query{Namespace: row.Commit.Run.Namespace})
	wantFound(t, x, index.Query{Namespace: "other"}, changed)
	both := []index.Row{changed, NewRow(0)}
	sortRows(both)
	wantFound(t, x, index.Query{}, both...)
}

func testRecord(t *testing.T, open func() index.Index) {
	row := NewRow(0)
	row.Record = []byte(strings.Replace(string(row.Record), "Succeeded", "Successed", 1))
	if err := open().Put(t.Context(), row); err == nil || !strings.Contains(err.Error(), "its commit says") {
		t.Errorf("got %v", err)
	}
	wantFound(t, open(), index.Query{})
}

func testAllOrNone(t *testing.T, open func() index.Index) {
	bad := NewRow(1)
	bad.Commit.Parts = nil
	if err := open().Put(t.Context(), NewRow(0), bad); err == nil ||
		!strings.Contains(err.Error(), "a complete record") {
		t.Errorf("got %v", err)
	}
	wantFound(t, open(), index.Query{})
}

func testNotFound(t *testing.T, open func() index.Index) {
	x := open()
	row := put(t, x, 1)[0]
	for _, id := range [][2]string{{string(Cluster), "other"}, {"other", row.Commit.Run.UID}, {string(Cluster), ""}} {
		if _, err := x.Get(t.Context(), id[0], id[1]); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("%q: got %v, want ErrNotFound", id, err)
		}
	}
}

func testDelete(t *testing.T, open func() index.Index) {
	x := open()
	rows := put(t, x, 3)
	for range 2 {
		must(t, open().Delete(t.Context(), string(Cluster), rows[0].Commit.Run.UID, "nobody", rows[2].Commit.Run.UID))
		must(t, x.Delete(t.Context(), "other", rows[1].Commit.Run.UID))
		must(t, x.Delete(t.Context(), string(Cluster)))
		wantFound(t, x, index.Query{}, rows[1])
	}
	must(t, x.Put(t.Context(), rows[0]))
	wantRow(t, x, rows[0])
}

func testFind(t *testing.T, open func() index.Index) {
	x := open()
	rows := put(t, x, 40)
	rows[7].Commit.Run.Kind, rows[9].Commit.Run.Result = "PipelineRun", rows[8].Commit.Run.Result
	must(t, x.Put(t.Context(), rows...))
	at := rows[20].Commit.CommittedAt
	for name, q := range map[string]index.Query{
		"all": {}, "cluster": {Cluster: string(Cluster)}, "another cluster": {Cluster: "other"},
		"namespace": {Namespace: "team-3"},
		"result":    {Result: rows[8].Commit.Run.Result}, "kind": {Kind: "PipelineRun"}, "time": {ArchivedBefore: at},
		"several": {Cluster: string(Cluster), Namespace: "team-9", Kind: "TaskRun", ArchivedBefore: at},
		"name":    {Name: rows[5].Commit.Run.Name}, "limit": {Limit: 7}, "a limit above all": {Limit: 700},
		"records": {Records: true, Limit: 3}, "nothing": {Namespace: "' OR 1=1 --"},
	} {
		t.Run(name, func(t *testing.T) {
			var want []index.Row
			for _, row := range rows {
				if matches(q, row) {
					want = append(want, row)
				}
			}
			sortRows(want)
			if q.Limit > 0 && q.Limit < len(want) {
				want = want[:q.Limit]
			}
			wantFound(t, x, q, want...)
		})
	}
}

// matches is the statement's condition in Go.
func matches(q index.Query, row index.Row) bool {
	run := row.Commit.Run
	return (q.Cluster == "" || q.Cluster == row.Commit.Cluster) &&
		(q.Namespace == "" || q.Namespace == run.Namespace) && (q.Name == "" || q.Name == run.Name) &&
		(q.Result == "" || q.Result == run.Result) &&
		(q.Kind == "" || q.Kind == run.Kind) && (q.ArchivedBefore.IsZero() ||
		row.Commit.CommittedAt.Before(q.ArchivedBefore))
}

func sortRows(rows []index.Row) {
	slices.SortFunc(rows, func(a, b index.Row) int {
		return cmp.Or(b.Commit.Run.Created.Compare(a.Commit.Run.Created),
			strings.Compare(a.Commit.Run.UID, b.Commit.Run.UID))
	})
}

// More rows than a page has, many of them created in the same second.
func testPages(t *testing.T, open func() index.Index) {
	x := open()
	rows := make([]index.Row, 1100)
	for i := range rows {
		rows[i] = small(i, Created.Add(time.Duration(i/300)*time.Second))
	}
	must(t, x.Put(t.Context(), rows...))
	sortRows(rows)
	wantFound(t, x, index.Query{}, rows...)
	wantFound(t, x, index.Query{Records: true}, rows...)
	wantFound(t, x, index.Query{Limit: 600}, rows[:600]...)
	wantFound(t, x, index.Query{Limit: 1024, Records: true}, rows[:1024]...)
	for _, i := range []int{0, 299, 300, 511, 512, 1098, 1099} {
		id := rows[i].Commit.ID()
		wantFound(t, x, index.Query{After: &id, Limit: 5}, rows[i+1:min(i+6, len(rows))]...)
	}
}

// small is a row with a small record.
func small(n int, created time.Time) index.Row {
	uid := fmt.Sprintf("uid-%d-%d", (n*7919)%1100, n)
	row := rename(NewRow(n%8), uid, created)
	row.Record = fmt.Appendf(nil, `{"kind":"TaskRun","metadata":{"uid":%q}}`, uid)
	row.Commit.Parts[0] = manifest.InlinePart(manifest.Record, row.Record)
	row.Commit = row.Commit.Bare()
	return row
}

// rename makes another run of a row.
func rename(row index.Row, uid string, created time.Time) index.Row {
	c := *row.Commit
	c.Run.UID, c.Run.Created = uid, created
	c.Parts = slices.Clone(c.Parts[:1])
	return index.Row{Commit: &c, Record: row.Record}
}

// TaskRuns whose PipelineRun has the name of their Result.
func testParents(t *testing.T, open func() index.Index) {
	x := open()
	child, other := NewRow(1), NewRow(2)
	parent := rename(NewRow(3), child.Commit.Run.Result, Created)
	parent.Commit.Run.Kind, parent.Commit.Run.Namespace = "PipelineRun", child.Commit.Run.Namespace
	must(t, x.Put(t.Context(), child, other))
	wantFound(t, x, index.Query{Roots: true}, sorted(child, other)...)
	must(t, x.Put(t.Context(), parent))
	wantFound(t, x, index.Query{Roots: true}, sorted(parent, other)...)
	wantFound(t, x, index.Query{Parent: parent.Commit.Run.UID}, child)
	wantFound(t, x, index.Query{Parent: child.Commit.Run.UID})
	wantFound(t, x, index.Query{Cluster: "another", Parent: parent.Commit.Run.UID})
	elsewhere := rename(child, "made-by-the-same-in-another-result", Created)
	elsewhere.Commit.Run.Result = "nightly"
	must(t, x.Put(t.Context(), elsewhere))
	wantFound(t, x, index.Query{Parent: parent.Commit.Run.UID}, sorted(child, elsewhere)...)
	wantFound(t, x, index.Query{Roots: true}, sorted(parent, other)...)
	wantFound(t, x, index.Query{Parent: "!"})
	// A child of a forged parent stays a root, and so is the forged parent.
	for name, change := range map[string]func(r *manifest.Run){
		"of another namespace":   func(r *manifest.Run) { r.Namespace = "elsewhere" },
		"that is no PipelineRun": func(r *manifest.Run) { r.Kind = "TaskRun" },
		"that says it of itself": func(r *manifest.Run) { r.UID = r.Result },
	} {
		forged := parent
		c := *parent.Commit
		forged.Commit = &c
		change(&c.Run)
		must(t, x.Delete(t.Context(), string(Cluster), parent.Commit.Run.UID, child.Commit.Run.UID,
			elsewhere.Commit.Run.UID))
		must(t, x.Put(t.Context(), child, forged))
		t.Log(name)
		wantFound(t, x, index.Query{Roots: true}, sorted(child, forged, other)...)
		must(t, x.Delete(t.Context(), string(Cluster), c.Run.UID))
	}
	wantFound(t, x, index.Query{Parent: "nightly"})
}

func sorted(rows ...index.Row) []index.Row {
	sortRows(rows)
	return rows
}

func testComplete(t *testing.T, open func() index.Index) {
	x := open()
	want := func(cluster string, want bool) {
		t.Helper()
		if got, err := open().Complete(t.Context(), cluster); got != want || err != nil {
			t.Errorf("%s: complete %v, %v; want %v", cluster, got, err, want)
		}
	}
	want("a", false)
	for range 2 {
		must(t, x.SetComplete(t.Context(), "a", true))
		want("a", true)
		want("b", false)
	}
	must(t, x.SetComplete(t.Context(), "a", false))
	want("a", false)
}

func testKeys(t *testing.T, open func() index.Index) {
	x := open()
	var rows []index.Row
	var want []string
	// One uid begins with another: the order is that of the keys' bytes.
	for i, uid := range []string{"a", "a-b", "a-", "ab", "A", "0", "b", "a0", "a-b-c", "zz", "a1"} {
		row := rename(NewRow(0), uid, Created.Add(time.Duration(i%3)*24*time.Hour))
		key, err := row.Commit.Key()
		must(t, err)
		rows, want = append(rows, row), append(want, key)
	}
	must(t, x.Put(t.Context(), rows...))
	slices.Sort(want)
	all := append([]string{""}, want...)
	for i, after := range all {
		var got []string
		for key, err := range x.Keys(t.Context(), string(Cluster), after) {
			must(t, err)
			got = append(got, key)
		}
		if !slices.Equal(got, want[i:]) {
			t.Errorf("after %q: got %q\nwant %q", after, got, want[i:])
		}
	}
	for key, err := range x.Keys(t.Context(), "other", "") {
		t.Errorf("another cluster has %s, %v", key, err)
	}
	for _, err := range x.Keys(t.Context(), string(Cluster), "nonsense") {
		if err == nil {
			t.Error("a key that is none is taken")
		}
	}
}

func testText(t *testing.T, open func() index.Index) {
	x := open()
	row := NewRow(0)
	row.Commit.Run.Name, row.Commit.Run.Reason = "'; DROP TABLE indelible_runs; --",
		"null \x00 and ü and \U0001F600 and $1 and \""
	must(t, x.Put(t.Context(), row))
	wantRow(t, x, row)
}

func testLarge(t *testing.T, open func() index.Index) {
	x := open()
	row := NewRow(0)
	text := strings.Repeat(fmt.Sprintf("%x", row.Record), 1+1<<20/len(row.Record)/2)
	row.Record = []byte(`{"status":{"results":[{"value":"` + text + `"}]}}`)
	row.Commit.Parts[0] = manifest.InlinePart(manifest.Record, row.Record)
	row.Commit = row.Commit.Bare()
	must(t, x.Put(t.Context(), row))
	wantRow(t, x, row)
}
