package index_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
)

// asking is a query of a reader, and what its plan must use.
type asking struct {
	do func(r index.Reader) error
	// uses is the index it may use; sorts says that it finds few rows and may sort them.
	uses  string
	sorts bool
	// sqlite is SQLite's name for a table's own index.
	sqlite string
}

// testPlans has the database explain the queries of lists and summaries: none of them may scan all
// rows.
func testPlans(t *testing.T, empty newURL) {
	rawURL := empty(t)
	x := open(t, rawURL)
	var rows []index.Row
	for n := range 3000 {
		row := indextest.NewRow(n)
		vary(&row, n)
		indextest.Seal(&row)
		rows = append(rows, row)
	}
	if err := x.Put(t.Context(), rows...); err != nil {
		t.Fatal(err)
	}
	db := database(t, rawURL)
	if strings.HasPrefix(rawURL, "postgres") {
		execute(t, db, "VACUUM ANALYZE")
	}
	r, err := x.Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	groups, err := r.Groups(t.Context(), string(indextest.Cluster))
	if err != nil {
		t.Fatal(err)
	}
	type question struct {
		text string
		args []any
	}
	var asked []question
	index.Asked(x, func(text string, args []any) { asked = append(asked, question{text, args}) })
	for name, a := range askings(t, groups, rows[40]) {
		t.Run(name, func(t *testing.T) {
			asked = nil
			if err := a.do(r); err != nil {
				t.Fatal(err)
			}
			if len(asked) == 0 {
				t.Fatal("nothing was asked")
			}
			all := ""
			for _, q := range asked {
				plan := explain(t, db, rawURL, q.text, q.args)
				all += plan
				for _, line := range strings.Split(plan, "\n") {
					// Results of subqueries, and the few groups and scopes, may be scanned.
					if whole(line) {
						t.Errorf("%s\n%s", q.text, plan)
					}
					// Ties may be sorted: they are found by the whole key.
					if !a.sorts && !strings.Contains(q.text, "ORDER BY 3") &&
						strings.Contains(line, "USE TEMP B-TREE FOR ORDER BY") {
						t.Errorf("it sorts: %s\n%s", q.text, plan)
					}
				}
			}
			if !strings.Contains(all, a.uses) && !strings.Contains(all, a.sqlite) || a.sqlite == "" &&
				!strings.Contains(all, a.uses) {
				t.Errorf("%s is not used: %s", a.uses, all)
			}
		})
	}
}

// whole says whether a line of a plan is a scan of a table that grows with the runs.
func whole(line string) bool {
	for _, table := range []string{"indelible_runs", "indelible_records", "indelible_labels", "indelible_results",
		"indelible_rollups", "indelible_objects", "indelible_specs"} {
		if strings.Contains(line, "Seq Scan on "+table) && table != "indelible_objects" { // it is empty
			return true
		}
	}
	for _, alias := range []string{"r", "l", "d", "s", "o", "indelible_runs", "indelible_rollups",
		"indelible_results"} {
		if strings.HasSuffix(strings.TrimSpace(line), "SCAN "+alias) || strings.Contains(line, "SCAN "+alias+" USING") {
			return true
		}
	}
	return false
}

func explain(t *testing.T, db *sql.DB, rawURL, text string, args []any) string {
	t.Helper()
	word := "EXPLAIN "
	if !strings.HasPrefix(rawURL, "postgres") {
		word = "EXPLAIN QUERY PLAN "
	}
	db.SetMaxOpenConns(1)
	if strings.HasPrefix(rawURL, "postgres") {
		execute(t, db, "SET enable_seqscan = off") // it would scan small tables although it need not
	}
	rows, err := db.QueryContext(t.Context(), word+text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&plan, *values[len(values)-1].(*any))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

func askings(t *testing.T, groups []index.Group, row index.Row) map[string]asking {
	t.Helper()
	cluster := string(indextest.Cluster)
	var all, failed []int64
	scopes := map[int64]bool{}
	var some []int64
	for _, g := range groups {
		all = append(all, g.ID)
		if g.Namespace == row.Commit.Run.Namespace {
			failed = append(failed, g.ID)
		}
		if !scopes[g.Scope] {
			scopes[g.Scope] = true
			some = append(some, g.Scope)
		}
	}
	run := row.Commit.Run
	after := &index.Position{At: run.Created.UnixMicro(), UID: run.UID}
	scan := func(s index.Scan) func(r index.Reader) error {
		s.Cluster, s.Descending, s.Limit = cluster, true, 20
		if s.Groups == nil {
			s.Groups = all
		}
		return func(r index.Reader) error {
			for _, position := range []*index.Position{nil, after} {
				if s.After = position; s.Updated && position != nil {
					s.After = &index.Position{At: row.Commit.CommittedAt.UnixMicro(), UID: run.UID}
				}
				entries, err := r.Entries(t.Context(), s)
				if err != nil {
					return err
				}
				var load []*index.Entry
				for i := range entries {
					load = append(load, &entries[i])
				}
				if err := r.Load(t.Context(), load); err != nil {
					return err
				}
			}
			return nil
		}
	}
	results := func(s index.ResultScan) func(r index.Reader) error {
		s.Limit, s.Descending = 20, true
		if s.Scopes == nil {
			s.Scopes = some
		}
		return func(r index.Reader) error {
			found, err := r.Results(t.Context(), s)
			if err == nil && len(found) > 0 {
				p := s.Position(&found[len(found)-1])
				s.After = &p
				_, err = r.Results(t.Context(), s)
			}
			return err
		}
	}
	count := func(s index.CountScan) func(r index.Reader) error {
		return func(r index.Reader) error {
			_, err := r.Counts(t.Context(), s)
			return err
		}
	}
	label := index.Label(cluster, run.Namespace, "tekton.dev/pipeline", "checkout-on-pull-request")
	return map[string]asking{
		"the newest of some groups": {do: scan(index.Scan{Path: index.ByGroup, Groups: failed}),
			uses: "indelible_runs_group"},
		"the latest changes of some groups": {do: scan(index.Scan{Path: index.ByGroup, Groups: failed,
			Updated: true}), uses: "indelible_runs_updated"},
		"the newest of a namespace": {do: scan(index.Scan{Path: index.ByNamespace, Groups: failed,
			Texts: []string{run.Namespace}}), uses: "indelible_runs_namespace"},
		"the newest of all": {do: scan(index.Scan{Path: index.ByCluster}),
			uses: "indelible_runs_created"},
		"the newest with a label": {do: scan(index.Scan{Path: index.ByLabel, Labels: []int64{label}}),
			uses: "indelible_labels_pkey", sqlite: "SEARCH l USING PRIMARY KEY (label=?"},
		"a run by its UID": {do: scan(index.Scan{Path: index.ByUID, Texts: []string{run.UID}}),
			uses: "uid", sorts: true},
		"runs by their name": {do: scan(index.Scan{Path: index.ByName, Texts: []string{run.Name}}),
			uses: "indelible_runs_name", sorts: true},
		"runs of a Result": {do: scan(index.Scan{Path: index.ByResult, Texts: []string{run.Result}}),
			uses: "indelible_runs_result", sorts: true},
		"the newest Results": {do: results(index.ResultScan{}), uses: "indelible_results_created"},
		"the Results that were changed last": {do: results(index.ResultScan{Order: index.ResultUpdated}),
			uses: "indelible_results_updated"},
		"a Result by its name": {do: results(index.ResultScan{Scopes: some[:1],
			Names: []string{run.Result}}), uses: "indelible_results", sorts: true},
		"counts by day": {do: count(index.CountScan{Groups: failed, By: index.ByCreated,
			Span: 86400, Rollups: true}), uses: "indelible_rollups_pkey",
			sqlite: "SEARCH indelible_rollups USING PRIMARY KEY (grp=?", sorts: true},
		"counts by Pipeline of what began": {do: count(index.CountScan{Groups: failed, By: index.ByPipeline,
			Started: &[2]int64{1, 1 << 40}}), uses: "indelible_runs_group", sorts: true},
		"counts by day of what was completed": {do: count(index.CountScan{Groups: failed, By: index.ByCompleted,
			Span: 86400, Created: &[2]int64{1, 1 << 40}}), uses: "indelible_runs_group", sorts: true},
	}
}
