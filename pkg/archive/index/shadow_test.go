package index_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// A run hides the record of its name in its own cluster, also if another cluster has the same run.
func TestRunsOfSeveralClustersHideObjects(t *testing.T) {
	const other = "test"
	one := indextest.NewRow(1)
	c := *one.Commit
	c.Cluster, c.Parts = other, slices.Clone(c.Parts[:1])
	two := index.Row{Commit: &c, Record: one.Record}
	rawURL := "sqlite://" + filepath.Join(t.TempDir(), "index.db")
	x := open(t, rawURL)
	for _, cluster := range []string{string(indextest.Cluster), other, "third"} {
		o := object.Object{Kind: object.Record, Parent: c.Run.Namespace, Result: c.Run.Result, ID: c.Run.UID,
			Key: cluster, Generation: 1, Type: "x", Data: []byte(`{}`), Created: time.Now(), Updated: time.Now()}
		if err := x.PutObjects(t.Context(), cluster, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Put(t.Context(), one, two); err != nil {
		t.Fatal(err)
	}
	got := query(t, database(t, rawURL), `SELECT object_key FROM indelible_objects WHERE grp <> 0`)
	if want := []string{`["third"]`}; !slices.Equal(got, want) {
		t.Errorf("listed are %q, want %q", got, want)
	}
	if wrong, err := x.CheckCounts(t.Context(), false); err != nil || wrong != 0 {
		t.Errorf("%d counts are wrong, %v", wrong, err)
	}
}

// A summary's times have two names in JSON, and never an arbitrary one of two values.
func TestTimesOfSummaries(t *testing.T) {
	const a, b, none = `"2026-11-20T10:42:11Z"`, `"2026-11-20T11:00:00.5Z"`, 0
	for data, want := range map[string][2]int64{
		`{"summary":{"startTime":` + a + `,"endTime":` + b + `}}`:                         {1795171331, 1795172400},
		`{"summary":{"start_time":` + a + `}}`:                                            {1795171331, none},
		`{"summary":{"startTime":` + a + `,"start_time":` + b + `,"end_time":` + b + `}}`: {none, 1795172400},
		`{"summary":{"startTime":"yesterday"}}`:                                           {},
		`{}`:                                                                              {},
	} {
		for range 20 { // it was the order of a map
			started, ended := index.SummaryTimes([]byte(data))
			if started.Valid != (want[0] != none) || started.Int64 != want[0] || ended.Valid != (want[1] != none) ||
				ended.Int64 != want[1] {
				t.Errorf("%s: %+v, %+v; want %d", data, started, ended, want)
				break
			}
		}
	}
}
