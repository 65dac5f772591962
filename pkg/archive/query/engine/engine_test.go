package engine_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/engine"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// databases run a test with each kind of index.
func databases(t *testing.T, test func(t *testing.T, empty func(t *testing.T) string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		test(t, func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "index.db") })
	})
	t.Run("postgres", func(t *testing.T) { test(t, indextest.Postgres(t)) })
}

// place is an archive with an index of it.
type place struct {
	*indextest.Archive
	index  index.Index
	engine *engine.Engine
	rows   []index.Row
}

func newPlace(t *testing.T, url string, runs int, change func(n int, row *index.Row)) *place {
	t.Helper()
	x, err := index.Open(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = x.Close() })
	p := &place{Archive: indextest.NewArchive(t), index: x}
	for n := range runs {
		row, _ := p.Add(t, n, func(row *index.Row) {
			if change != nil {
				change(n, row)
			}
		})
		p.rows = append(p.rows, row)
	}
	must(t, x.Put(t.Context(), p.rows...))
	must(t, x.SetComplete(t.Context(), string(indextest.Cluster), true))
	p.engine = p.engineOf(x)
	return p
}

func (p *place) engineOf(x index.Index) *engine.Engine {
	return engine.New(engine.Options{Index: x, Store: p.Archive, Cluster: string(indextest.Cluster)})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newest sorts rows as lists are by default.
func newest(rows []index.Row) []index.Row {
	return slices.SortedFunc(slices.Values(rows), func(a, b index.Row) int {
		return -cmp.Or(a.Commit.Run.Created.Compare(b.Commit.Run.Created),
			strings.Compare(a.Commit.Run.UID, b.Commit.Run.UID))
	})
}

// vary makes PipelineRuns, failures and other Pipelines among the TaskRuns.
func vary(n int, row *index.Row) {
	run := &row.Commit.Run
	edit := func(pairs ...string) { row.Record = []byte(strings.NewReplacer(pairs...).Replace(string(row.Record))) }
	if n%4 == 0 {
		run.Kind = "PipelineRun"
		edit(`"kind":"TaskRun"`, `"kind":"PipelineRun"`)
	}
	if n%5 == 1 {
		run.Status, run.Reason = "False", "Failed"
		edit(`"reason":"Succeeded","status":"True"`, `"reason":"Failed","status":"False"`)
	}
	if n%3 == 2 {
		edit(`"tekton.dev/pipeline":"checkout-on-pull-request"`, `"tekton.dev/pipeline":"nightly"`)
	}
	if n%7 == 3 {
		edit(`"tekton.dev/pipeline":"checkout-on-pull-request",`, ``, `"tekton.dev/pipeline":"nightly",`, ``)
	}
}

// all reads all pages of a list of records.
func (p *place) all(t *testing.T, q query.List) (records []*pb.Record) {
	t.Helper()
	for {
		page, err := p.engine.ListRecords(t.Context(), q)
		must(t, err)
		records = append(records, page.Items...)
		if page.NextPageToken == "" {
			return records
		}
		if want := max(int(q.PageSize), 5); q.PageSize > 0 && len(page.Items) != want {
			t.Fatalf("a page that is not the last has %d records, want %d", len(page.Items), want)
		}
		q.PageToken = page.NextPageToken
	}
}

const taskRun, pipelineRun = `data_type == "tekton.dev/v1.TaskRun"`, `data_type == "tekton.dev/v1.PipelineRun"`

// filters are CEL filters for records of runs, with the same condition in Go.
var filters = map[string]func(r index.Row) bool{
	taskRun:     func(r index.Row) bool { return r.Commit.Run.Kind == "TaskRun" },
	pipelineRun: func(r index.Row) bool { return r.Commit.Run.Kind == "PipelineRun" },
	taskRun + ` && data.status.conditions[0].status == "False"`: func(r index.Row) bool {
		return r.Commit.Run.Kind == "TaskRun" && r.Commit.Run.Status == "False"
	},
	`data.status.conditions[0].reason in ["Failed", "Succeeded"]`: func(index.Row) bool { return true },
	`data.metadata.labels["tekton.dev/pipeline"] == "nightly"`: func(r index.Row) bool {
		return label(r) == "nightly"
	},
	`data.metadata.labels["tekton.dev/pipeline"] != "nightly"`: func(r index.Row) bool {
		return label(r) != "nightly" && label(r) != ""
	},
	`!(data.metadata.labels["tekton.dev/pipeline"] == "nightly")`: func(r index.Row) bool {
		return label(r) != "nightly" && label(r) != ""
	},
	`data.metadata.labels["tekton.dev/pipeline"] in ["nightly", "x"]`: func(r index.Row) bool {
		return label(r) == "nightly"
	},
	`data.metadata.labels["tekton.dev/pipeline"] == "nobody's"`: func(index.Row) bool { return false },
	`data.metadata.labels.contains("tekton.dev/pipeline\": \"nightly")`: func(r index.Row) bool {
		return label(r) == "nightly"
	},
	taskRun + ` && data.metadata.name.startsWith("checkout-pr-a")`: func(r index.Row) bool {
		return r.Commit.Run.Kind == "TaskRun" && strings.HasPrefix(r.Commit.Run.Name, "checkout-pr-a")
	},
	taskRun + ` || ` + pipelineRun: func(index.Row) bool { return true },
	`has(data.status.taskSpec) && data.status.steps.exists(s, s.name == "compile")`: func(index.Row) bool {
		return true
	},
}

func label(r index.Row) string {
	var object struct {
		Metadata struct{ Labels map[string]string }
	}
	_ = json.Unmarshal(r.Record, &object)
	return object.Metadata.Labels["tekton.dev/pipeline"]
}

func TestListRecords(t *testing.T) {
	databases(t, func(t *testing.T, empty func(t *testing.T) string) {
		p := newPlace(t, empty(t), 120, vary)
		for text, matches := range filters {
			for _, parent := range []string{"-", "team-3"} {
				t.Run(text+" in "+parent, func(t *testing.T) {
					var want []string
					for _, row := range newest(p.rows) {
						if (parent == "-" || row.Commit.Run.Namespace == parent) && matches(row) {
							want = append(want, nameOf(row, row.Commit.Run.UID))
						}
					}
					for _, size := range []int32{5, 7, 0} {
						got := p.all(t, query.List{Parent: parent, Filter: text, PageSize: size})
						wantNames(t, got, want)
					}
					reversed := slices.Clone(want)
					slices.Reverse(reversed)
					wantNames(t, p.all(t, query.List{Parent: parent, Filter: text, OrderBy: "create_time asc",
						PageSize: 5}), reversed)
				})
			}
		}
	})
}

func nameOf(row index.Row, id string) string {
	return fmt.Sprintf("%s/results/%s/records/%s", row.Commit.Run.Namespace, row.Commit.Run.Result, id)
}

func wantNames(t *testing.T, got []*pb.Record, want []string) {
	t.Helper()
	var names []string
	for _, r := range got {
		names = append(names, r.GetName())
	}
	if !slices.Equal(names, want) {
		t.Fatalf("got %d: %q\nwant %d: %q", len(names), names, len(want), want)
	}
}

func TestGetRecord(t *testing.T) {
	databases(t, func(t *testing.T, empty func(t *testing.T) string) {
		p := newPlace(t, empty(t), 20, vary)
		r := p.rows[7]
		of := r.Commit.Run
		got, err := p.engine.GetRecord(t.Context(), of.Namespace, of.Result, of.UID)
		must(t, err)
		if string(got.GetData().GetValue()) != string(r.Record) || got.GetData().GetType() != "tekton.dev/v1.TaskRun" ||
			!got.GetCreateTime().AsTime().Equal(of.Created) ||
			!got.GetUpdateTime().AsTime().Equal(r.Commit.CommittedAt.Truncate(time.Microsecond)) {
			t.Errorf("got %v", got)
		}
		got, err = p.engine.GetRecord(t.Context(), of.Namespace, of.Result, run.LogID(of.Result, of.UID))
		must(t, err)
		if got.GetData().GetType() != "results.tekton.dev/v1alpha3.Log" ||
			!strings.Contains(string(got.GetData().GetValue()), `"uid":"`+of.UID) {
			t.Errorf("log: got %s", got.GetData().GetValue())
		}
		got, err = p.engine.GetRecord(t.Context(), of.Namespace, of.Result, run.EventListID(of.Result, of.UID))
		must(t, err)
		if got.GetData().GetType() != "results.tekton.dev/v1.EventList" ||
			!strings.HasPrefix(string(got.GetData().GetValue()), `{"kind":"EventList"`) {
			t.Errorf("events: got %s", got.GetData().GetValue())
		}
		commit, err := p.engine.Commit(t.Context(), of.Namespace, of.Result, run.LogID(of.Result, of.UID))
		if err != nil || commit.Run.UID != of.UID || commit.Parts[0].Type != manifest.Record {
			t.Errorf("commit: got %v, %v", commit, err)
		}
	})
}

func TestListAllRecords(t *testing.T) {
	databases(t, func(t *testing.T, empty func(t *testing.T) string) {
		p := newPlace(t, empty(t), 30, vary)
		var want []string
		for _, row := range newest(p.rows) {
			r := row.Commit.Run
			want = append(want, nameOf(row, r.UID), nameOf(row, run.LogID(r.Result, r.UID)),
				nameOf(row, run.EventListID(r.Result, r.UID)))
		}
		wantNames(t, p.all(t, query.List{Parent: "-", PageSize: 5}), want)
		wantNames(t, p.all(t, query.List{Parent: "-", PageSize: 7, Metadata: true}), want)
	})
}
