package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/query"
)

const everything = "total,succeeded,failed,cancelled,running,others,last_runtime,min_duration,max_duration,total_duration"

// summarized is what a summary reads of a run's record.
type summarized struct {
	Metadata struct {
		Namespace         string
		CreationTimestamp time.Time
		Labels            map[string]string
	}
	Status struct {
		StartTime, CompletionTime time.Time
		Conditions                []struct{ Reason string }
	}
}

// aggregate computes in Go, from records, what a summary does.
func aggregate(t *testing.T, rows []index.Row, group func(r *summarized) any) []map[string]any {
	t.Helper()
	groups := map[any][]*summarized{}
	for _, row := range rows {
		r := &summarized{}
		must(t, json.Unmarshal(row.Record, r))
		groups[group(r)] = append(groups[group(r)], r)
	}
	var want []map[string]any
	for value, all := range groups {
		sum := map[string]any{"total": float64(len(all)), "succeeded": 0.0, "failed": 0.0, "cancelled": 0.0,
			"running": 0.0, "others": 0.0}
		shortest, longest, total, last := time.Duration(1<<62), time.Duration(0), time.Duration(0), time.Time{}
		for _, r := range all {
			name := map[string]string{"Succeeded": "succeeded", "Failed": "failed"}[r.Status.Conditions[0].Reason]
			sum[name] = sum[name].(float64) + 1
			took := r.Status.CompletionTime.Sub(r.Status.StartTime)
			shortest, longest, total = min(shortest, took), max(longest, took), total+took
			if r.Status.StartTime.After(last) {
				last = r.Status.StartTime
			}
		}
		sum["last_runtime"] = float64(last.Unix())
		for name, d := range map[string]time.Duration{"min_duration": shortest, "max_duration": longest,
			"total_duration": total} {
			s := int(d.Seconds())
			sum[name] = fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
		}
		if value != nil {
			sum["group_value"] = value
		}
		want = append(want, sum)
	}
	sortSums(want)
	return want
}

func sortSums(sums []map[string]any) {
	slices.SortFunc(sums, func(a, b map[string]any) int {
		return cmpText(fmt.Sprint(a["group_value"]), fmt.Sprint(b["group_value"]))
	})
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func unixDay(at time.Time) float64 { return float64(at.UTC().Truncate(24 * time.Hour).Unix()) }

// pastDays spreads runs over days, the last of which is incomplete.
func pastDays(n int, row *index.Row) {
	vary(n, row)
	was := row.Commit.Run.Created
	indextest.Move(row, was.Add(time.Duration(n)*5*time.Hour))
	row.Record = bytes.ReplaceAll(row.Record, fmt.Appendf(nil, `"creationTimestamp":%q`, was.Format(time.RFC3339)),
		fmt.Appendf(nil, `"creationTimestamp":%q`, row.Commit.Run.Created.Format(time.RFC3339)))
}

func TestSummaries(t *testing.T) {
	databases(t, func(t *testing.T, empty func(t *testing.T) string) {
		p := newPlace(t, empty(t), 120, pastDays)
		middle := p.rows[50].Commit.Run.Created
		groups := map[string]func(r *summarized) any{
			"":          func(*summarized) any { return nil },
			"namespace": func(r *summarized) any { return r.Metadata.Namespace },
			"pipeline": func(r *summarized) any {
				return r.Metadata.Namespace + "/" + r.Metadata.Labels["tekton.dev/pipeline"]
			},
			"repository": func(r *summarized) any { return r.Metadata.Namespace + "/" },
			"day":        func(r *summarized) any { return unixDay(r.Metadata.CreationTimestamp) },
			"hour": func(r *summarized) any {
				return float64(r.Metadata.CreationTimestamp.Truncate(time.Hour).Unix())
			},
			"minute": func(r *summarized) any {
				return float64(r.Metadata.CreationTimestamp.Truncate(time.Minute).Unix())
			},
			"day startTime": func(r *summarized) any { return unixDay(r.Status.StartTime) },
			"week": func(r *summarized) any {
				at := r.Metadata.CreationTimestamp
				return unixDay(at.AddDate(0, 0, -(int(at.Weekday())+6)%7))
			},
			"month": func(r *summarized) any {
				at := r.Metadata.CreationTimestamp
				return float64(time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC).Unix())
			},
			"year completionTime": func(r *summarized) any {
				return float64(time.Date(r.Status.CompletionTime.Year(), 1, 1, 0, 0, 0, 0, time.UTC).Unix())
			},
		}
		tests := map[string]func(r index.Row) bool{
			taskRun: filters[taskRun],
			fmt.Sprintf(taskRun+` && data.metadata.creationTimestamp > timestamp(%q)`,
				middle.Format(time.RFC3339)): func(r index.Row) bool {
				return r.Commit.Run.Kind == "TaskRun" && r.Commit.Run.Created.After(middle)
			},
			fmt.Sprintf(`data.status.startTime <= timestamp(%q)`,
				indextest.Created.Add(20*time.Second).Format(time.RFC3339)): func(r index.Row) bool {
				at := &summarized{}
				_ = json.Unmarshal(r.Record, at)
				return !at.Status.StartTime.After(indextest.Created.Add(20 * time.Second))
			},
			pipelineRun + ` && data.metadata.uid.contains("-")`: filters[pipelineRun], // not in columns
			taskRun +
				` && data.status.conditions[0].reason == "Failed"`: filters[taskRun+` && data.status.conditions[0].status == "False"`],
		}
		for text, matches := range tests {
			for _, parent := range []string{"-", "team-3"} {
				for by, group := range groups {
					var rows []index.Row
					for _, r := range p.rows {
						if matches(r) && (parent == "-" || r.Commit.Run.Namespace == parent) {
							rows = append(rows, r)
						}
					}
					if len(rows) == 0 {
						continue // see TestSummaryRequests
					}
					q := query.Summary{List: query.List{Parent: parent, Result: "-", Filter: text}, Summary: everything,
						GroupBy: by}
					got, err := p.engine.Summarize(t.Context(), q)
					must(t, err)
					var sums []map[string]any
					for _, s := range got.GetSummary() {
						sums = append(sums, s.AsMap())
					}
					sortSums(sums)
					if diff := cmp.Diff(aggregate(t, rows, group), sums); diff != "" {
						t.Errorf("%s in %s by %q: %s", text, parent, by, diff)
					}
				}
			}
		}
	})
}

func TestSummaryRequests(t *testing.T) {
	p := newPlace(t, "sqlite://"+t.TempDir()+"/index.db", 12, vary)
	for name, test := range map[string]struct {
		summary, group, order string
		code                  codes.Code
	}{
		"nothing is the total":              {},
		"an unknown aggregation":            {summary: "total,median", code: codes.InvalidArgument},
		"an unknown group":                  {group: "decade", code: codes.InvalidArgument},
		"an unknown time":                   {group: "day endTime", code: codes.InvalidArgument},
		"a name has no time":                {group: "namespace startTime", code: codes.InvalidArgument},
		"an order by an aggregation":        {summary: "total,failed", group: "namespace", order: "failed desc"},
		"an order as the documents have it": {summary: "total", group: "namespace", order: "DESC total"},
		"an order by what is not asked for": {summary: "total", group: "namespace", order: "failed desc",
			code: codes.InvalidArgument},
		"an order without a direction": {summary: "total", group: "namespace", order: "total",
			code: codes.InvalidArgument},
		"an order without a group is overlooked": {summary: "total", order: "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := p.engine.Summarize(t.Context(), query.Summary{List: query.List{Parent: "-",
				OrderBy: test.order}, Summary: test.summary, GroupBy: test.group})
			if status.Code(err) != test.code {
				t.Fatalf("got %v, want %s", err, test.code)
			}
			if err == nil && test.group == "" && got.GetSummary()[0].AsMap()["total"] != 36.0 { // with logs and events
				t.Errorf("got %v", got)
			}
		})
	}
	got, err := p.engine.Summarize(t.Context(), query.Summary{List: query.List{Parent: "-",
		Filter: `data_type == "other"`}, Summary: "total,avg_duration,succeeded"})
	must(t, err)
	if diff := cmp.Diff(map[string]any{"total": 0.0, "succeeded": 0.0, "avg_duration": nil},
		got.GetSummary()[0].AsMap()); diff != "" {
		t.Errorf("of nothing: %s", diff)
	}
}
