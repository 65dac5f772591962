package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/engine"
)

func TestPageTokensBelongToOneList(t *testing.T) {
	p := newPlace(t, "sqlite://"+t.TempDir()+"/index.db", 30, nil)
	list := query.List{Parent: "-", Result: "-", Filter: taskRun, PageSize: 5}
	first, err := p.engine.ListRecords(t.Context(), list)
	must(t, err)
	list.PageToken = first.NextPageToken
	if _, err := p.engine.ListRecords(t.Context(), list); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(q *query.List){
		"another parent":                  func(q *query.List) { q.Parent = "team-1" },
		"another Result":                  func(q *query.List) { q.Result = "a" },
		"another filter":                  func(q *query.List) { q.Filter = pipelineRun },
		"another order":                   func(q *query.List) { q.OrderBy = "create_time asc" },
		"a caller who may see other runs": func(q *query.List) { q.Namespaces = []string{"team-1"} },
		"a caller who may see none":       func(q *query.List) { q.Namespaces = []string{} },
		"a token that is none":            func(q *query.List) { q.PageToken = "x" },
		"a token without a place":         func(q *query.List) { q.PageToken = "e30" },
	} {
		q := list
		change(&q)
		if _, err := p.engine.ListRecords(t.Context(), q); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := p.engine.ListLogs(t.Context(), query.List{Parent: "-", Result: "-", Filter: taskRun,
		PageToken: first.NextPageToken}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a token of records for logs: got %v", err)
	}
	if _, err := p.engine.ListResults(t.Context(), query.List{Parent: "-",
		PageToken: first.NextPageToken}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a token of records for Results: got %v", err)
	}
}

func TestForbiddenLists(t *testing.T) {
	p := newPlace(t, "sqlite://"+t.TempDir()+"/index.db", 3, nil)
	for name, q := range map[string]query.List{
		"a small page":           {PageSize: 4},
		"a large page":           {PageSize: 10001},
		"a negative page":        {PageSize: -1},
		"an unknown order":       {OrderBy: "name"},
		"an unknown direction":   {OrderBy: "create_time up"},
		"a filter that is none":  {Filter: "name =="},
		"a filter that says yes": {Filter: `"yes"`},
	} {
		q.Parent = "-"
		_, records := p.engine.ListRecords(t.Context(), q)
		_, results := p.engine.ListResults(t.Context(), q)
		if status.Code(records) != codes.InvalidArgument || status.Code(results) != codes.InvalidArgument {
			t.Errorf("%s: got %v and %v", name, records, results)
		}
	}
	if _, err := p.engine.ListRecords(t.Context(), query.List{Parent: "-",
		OrderBy: "summary.end_time"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an order of Results for records: got %v", err)
	}
}

// Lists over some namespaces have nothing of others, and full pages.
func TestNamespaces(t *testing.T) {
	databases(t, func(t *testing.T, empty func(t *testing.T) string) {
		p := newPlace(t, empty(t), 60, vary)
		allowed := []string{"team-7", "team-2", "nowhere"}
		var want []string
		for _, row := range newest(p.rows) {
			if slices.Contains(allowed, row.Commit.Run.Namespace) {
				want = append(want, nameOf(row, row.Commit.Run.UID))
			}
		}
		filter := taskRun + " || " + pipelineRun
		wantNames(t, p.all(t, query.List{Parent: "-", Namespaces: allowed, Filter: filter, PageSize: 5}), want)
		wantNames(t, p.all(t, query.List{Parent: "team-3", Namespaces: allowed, Filter: filter}), nil)
		wantNames(t, p.all(t, query.List{Parent: "-", Namespaces: []string{}, Filter: filter}), nil)
		results, err := p.engine.ListResults(t.Context(), query.List{Parent: "-", Namespaces: allowed})
		must(t, err)
		for _, r := range results.Items {
			if parent, _, _ := strings.Cut(r.GetName(), "/"); !slices.Contains(allowed, parent) {
				t.Errorf("%s is listed", r.GetName())
			}
		}
		if len(results.Items) != len(want) { // each run has its own Result
			t.Errorf("%d Results, want %d", len(results.Items), len(want))
		}
		sum, err := p.engine.Summarize(t.Context(), query.Summary{List: query.List{Parent: "-", Namespaces: allowed,
			Filter: filter}})
		if err != nil || sum.GetSummary()[0].AsMap()["total"] != float64(len(want)) {
			t.Errorf("got %v, %v", sum, err)
		}
		all, err := p.engine.Namespaces(t.Context(), 10)
		if err != nil || len(all) != 10 {
			t.Errorf("got %q, %v", all, err)
		}
		if _, err := p.engine.Namespaces(t.Context(), 9); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("more namespaces than can be reviewed: %v", err)
		}
	})
}

// An index that is incomplete or does not answer is an error, never an empty list.
func TestUnavailable(t *testing.T) {
	p := newPlace(t, "sqlite://"+t.TempDir()+"/index.db", 3, nil)
	run := p.rows[0].Commit.Run
	asked := func(when string) {
		t.Helper()
		_, records := p.engine.ListRecords(t.Context(), query.List{Parent: "-"})
		_, logs := p.engine.ListLogs(t.Context(), query.List{Parent: "-"})
		_, results := p.engine.ListResults(t.Context(), query.List{Parent: "-"})
		_, sum := p.engine.Summarize(t.Context(), query.Summary{List: query.List{Parent: "-"}})
		_, record := p.engine.GetRecord(t.Context(), run.Namespace, run.Result, "nobody")
		_, result := p.engine.GetResult(t.Context(), run.Namespace, "nobody")
		for what, err := range map[string]error{"records": records, "logs": logs, "results": results, "summary": sum,
			"record": record, "result": result} {
			if status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %s: got %v", when, what, err)
			}
		}
	}
	must(t, p.index.SetComplete(t.Context(), cluster, false))
	asked("while it is being made")
	must(t, p.index.Close())
	asked("when it is closed")
}

func TestFiltersAreBounded(t *testing.T) {
	p := newPlace(t, "sqlite://"+t.TempDir()+"/index.db", 40, nil)
	e := engine.New(engine.Options{Index: p.index, Cluster: cluster, MaxScan: 30})
	_, err := e.ListRecords(t.Context(), query.List{Parent: "-", Filter: taskRun +
		` && data.spec.serviceAccountName == "nobody"`})
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "confine the list") {
		t.Errorf("got %v", err)
	}
	if _, err := e.ListRecords(t.Context(), query.List{Parent: "-", Filter: taskRun +
		` && data.metadata.labels["no"] == "body"`}); err != nil {
		t.Errorf("what an index serves: %v", err)
	}
}

// Results show what their runs say.
func TestResults(t *testing.T) {
	databases(t, func(t *testing.T, empty func(t *testing.T) string) {
		p := newPlace(t, empty(t), 30, func(n int, row *index.Row) {
			if n%3 > 0 {
				return
			}
			row.Commit.Run.Result = "nightly"
			row.Commit.Run.ResultAnnotations = map[string]string{"who": row.Commit.Run.Name, "kept": "yes"}
			row.Commit.Run.SummaryAnnotations = map[string]string{"branch": "main"}
			row.Record = []byte(strings.Replace(string(row.Record), `"ownerReferences":[`,
				`"ownerReferences":[],"was":[`, 1))
		})
		for _, namespace := range []string{"team-0", "team-3"} {
			var last index.Row
			var first time.Time
			for _, row := range p.rows {
				if r := row.Commit.Run; r.Namespace == namespace && r.Result == "nightly" {
					if last.Commit == nil || row.Commit.CommittedAt.After(last.Commit.CommittedAt) {
						last = row
					}
					if first.IsZero() || r.Created.Before(first) {
						first = r.Created
					}
				}
			}
			got, err := p.engine.GetResult(t.Context(), namespace, "nightly")
			must(t, err)
			s, run := got.GetSummary(), last.Commit.Run
			if s.GetRecord() != nameOf(last, run.UID) || s.GetType() != "tekton.dev/v1.TaskRun" ||
				s.GetStatus() != pb.RecordSummary_SUCCESS ||
				!s.GetEndTime().AsTime().Equal(*run.Completed) || s.GetAnnotations()["branch"] != "main" {
				t.Errorf("%s: got %v of %s", namespace, s, run.UID)
			}
			if a := got.GetAnnotations(); a["who"] != run.Name || a["kept"] != "yes" ||
				a["object.metadata.name"] != run.Name {
				t.Errorf("%s: got %v", namespace, a)
			}
			if !got.GetCreateTime().AsTime().Equal(first) ||
				!got.GetUpdateTime().AsTime().Equal(last.Commit.CommittedAt.Truncate(time.Microsecond)) {
				t.Errorf("%s: got %v", namespace, got)
			}
		}
		for _, order := range []string{"", "create_time asc", "update_time desc", "summary.start_time asc",
			"summary.end_time desc"} {
			want, err := p.engine.ListResults(t.Context(), query.List{Parent: "-", OrderBy: order})
			must(t, err)
			q := query.List{Parent: "-", OrderBy: order, PageSize: 5}
			var got []*pb.Result
			for {
				page, err := p.engine.ListResults(t.Context(), q)
				must(t, err)
				got = append(got, page.Items...)
				if q.PageToken = page.NextPageToken; q.PageToken == "" {
					break
				}
			}
			if !slices.EqualFunc(want.Items, got, func(a, b *pb.Result) bool {
				return a.GetName() == b.GetName()
			}) || len(got) != len(p.rows)-len(p.merged()) {
				t.Errorf("by %q: %d by pages, %d at once", order, len(got), len(want.Items))
			}
		}
		found, err := p.engine.ListResults(t.Context(), query.List{Parent: "-",
			Filter: `annotations["kept"] == "yes" && summary.status == SUCCESS`, PageSize: 5})
		if err != nil || len(found.Items) != 5 {
			t.Errorf("got %v, %v", found, err)
		}
	})
}

// merged returns the UIDs of runs that are not the first of their Result.
func (p *place) merged() (runs []string) {
	seen := map[string]bool{}
	for _, row := range p.rows {
		r := row.Commit.Run
		if key := r.Namespace + "/" + r.Result; seen[key] {
			runs = append(runs, r.UID)
		} else {
			seen[key] = true
		}
	}
	return runs
}
