package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// list reads all pages over gRPC, and returns the names of the runs.
func (r *rig) list(token, parent, filter, order string) ([]string, error) {
	r.Helper()
	var names []string
	request := &pb.ListRecordsRequest{Parent: parent, Filter: filter, OrderBy: order, PageSize: 5}
	for {
		page, err := r.Results.ListRecords(r.As(token), request)
		if err != nil {
			return names, err
		}
		for _, record := range page.GetRecords() {
			names = append(names, record.GetName())
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return names, nil
		}
	}
}

// restList does the same over REST.
func (r *rig) restList(token, parent, filter, order string) []string {
	r.Helper()
	var names []string
	query := url.Values{"filter": {filter}, "order_by": {order}, "page_size": {"5"},
		"fields": {"records.name,next_page_token"}}
	for {
		code, text, _ := r.REST(token, http.MethodGet, prefix+parent+"/records?"+query.Encode(), "")
		if code != http.StatusOK {
			r.Errorf("%s %s: %d %s", parent, filter, code, text)
			return names
		}
		tree := r.Tree(text)
		records, _ := tree["records"].([]any)
		for _, record := range records {
			names = append(names, record.(map[string]any)["name"].(string))
		}
		next, ok := tree["next_page_token"].(string)
		if !ok {
			return names
		}
		query.Set("page_token", next)
	}
}

// Filters that CLI and consoles send, with their meaning in Tekton Results: a missing field is
// null, and a comparison with null is not true.
func TestFilters(t *testing.T) {
	r := newFullRig(t)
	const runs = `(data_type == "tekton.dev/v1.TaskRun" || data_type == "tekton.dev/v1.PipelineRun") && `
	for filter, want := range map[string][]made{
		`data_type == "tekton.dev/v1.PipelineRun"`: {pipelineOK},
		`data_type == PIPELINE_RUN`:                {pipelineOK},
		`data_type == TASK_RUN`:                    {childOne, childTwo, failed, cancelled},
		`data_type in ["tekton.dev/v1.PipelineRun", "tekton.dev/v1beta1.PipelineRun"]`:            {pipelineOK},
		`(data_type == "tekton.dev/v1.PipelineRun" || data_type == "tekton.dev/v1beta1.TaskRun")`: {pipelineOK},
		runs + `data.metadata.labels["app"] == "shop"`:                                            {pipelineOK},
		// not those without the label
		runs + `data.metadata.labels["app"] != "shop"`:           {failed},
		runs + `data.metadata.labels["app"] in ["shop", "cart"]`: {pipelineOK, failed},
		runs + `data.metadata.labels.contains("app")`:            {pipelineOK, failed},
		runs + `data.metadata.name.startsWith("lint")`:           {failed, cancelled},
		runs + `data.metadata.name.contains("1-c")`:              {childOne},
		runs + `data.metadata.name.endsWith("-1")`:               {pipelineOK, failed},
		`name == "` + failed.uid + `"`:                           {failed},
		`name.endsWith("` + failed.uid + `")`:                    {failed},
		runs + `data.metadata.namespace == "team"`: {pipelineOK,
			childOne, childTwo, failed, cancelled},
		runs + `data.status.conditions[0].reason == "Failed"`:                                  {failed},
		runs + `data.status.conditions[0].status == "False" && data.metadata.name == "lint-2"`: {cancelled},
		runs + `data.metadata.labels["tekton.dev/pipelineRun"] == "build-1"`:                   {childOne, childTwo},
		runs + `!(data.metadata.name == "lint-1")`: {pipelineOK,
			childOne, childTwo, cancelled},
		runs + `data.metadata.name == "' OR 1=1 --"`:                              nil,
		runs + `data.metadata.name == "lint-1" || data.metadata.name == "launch"`: {failed},
	} {
		t.Run(filter, func(t *testing.T) {
			r := r.of(t)
			var names []string
			for _, m := range want {
				names = append(names, m.record())
			}
			slices.Sort(names)
			got, err := r.list(member, "team/results/-", filter, "")
			slices.Sort(got)
			if diff := cmp.Diff(names, got); err != nil || diff != "" {
				t.Errorf("gRPC: %v %s", err, diff)
			}
			rest := r.restList(member, "team/results/-", filter, "")
			slices.Sort(rest)
			if diff := cmp.Diff(names, rest); diff != "" {
				t.Errorf("REST: %s", diff)
			}
		})
	}
}

// of returns the rig for a subtest.
func (r *rig) of(t testing.TB) *rig {
	same := *r
	same.TB, same.Client = t, r.For(t)
	return &same
}

func TestFiltersThatAreWrong(t *testing.T) {
	r := newFullRig(t)
	for _, filter := range []string{"name ==", `name == 1`, `unknown == "x"`, `"text"`, `name.startsWith(1)`,
		strings.Repeat("(", 1000)} {
		_, err := r.list(member, "team/results/-", filter, "")
		r.wantCode(fmt.Sprintf("%.20s", filter), err, codes.InvalidArgument)
	}
	for _, order := range []string{"name", "create_time up", "create_time desc, uid", "data.metadata.name"} {
		_, err := r.list(member, "team/results/-", "", order)
		r.wantCode(order, err, codes.InvalidArgument)
	}
}

func TestOrder(t *testing.T) {
	r := newFullRig(t)
	const filter = `data_type == TASK_RUN`
	ascending := []string{childOne.record(), childTwo.record(), failed.record(), cancelled.record()}
	descending := slices.Clone(ascending)
	slices.Reverse(descending)
	for order, want := range map[string][]string{
		"create_time asc": ascending, "create_time": ascending, "create_time desc": descending,
		"create_time DESC": descending,
	} {
		got, err := r.list(member, "team/results/-", filter, order)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", order, err, diff)
		}
	}
}

func TestPages(t *testing.T) {
	r := newRig(t)
	for i := range 60 {
		r.add(made{kind: "TaskRun", namespace: "team", name: fmt.Sprint("run-", i), uid: uid(1000 + i), created: i,
			status: "True", reason: "Succeeded"})
	}
	first := &pb.ListRecordsRequest{Parent: "team/results/-", Filter: "data_type == TASK_RUN",
		OrderBy: "create_time desc"}
	page, err := r.Results.ListRecords(r.As(member), first)
	if err != nil || len(page.GetRecords()) != 50 || page.GetNextPageToken() == "" {
		t.Fatalf("%d records, %v", len(page.GetRecords()), err)
	}
	rest, err := r.Results.ListRecords(r.As(member), &pb.ListRecordsRequest{Parent: first.Parent, Filter: first.Filter,
		OrderBy: first.OrderBy, PageToken: page.GetNextPageToken()})
	if err != nil || len(rest.GetRecords()) != 10 || rest.GetNextPageToken() != "" {
		t.Errorf("the rest: %d records, token %q, %v", len(rest.GetRecords()), rest.GetNextPageToken(), err)
	}
	whole, err := r.Results.ListRecords(r.As(member), &pb.ListRecordsRequest{Parent: first.Parent, Filter: first.Filter,
		PageSize: 10_000})
	if err != nil || len(whole.GetRecords()) != 60 || whole.GetNextPageToken() != "" {
		t.Errorf("all at once: %d records, token %q, %v", len(whole.GetRecords()), whole.GetNextPageToken(), err)
	}
	for what, request := range map[string]*pb.ListRecordsRequest{
		"forbid a token of another filter": {Parent: first.Parent, Filter: "data_type == PIPELINE_RUN",
			OrderBy: first.OrderBy, PageToken: page.GetNextPageToken()},
		"forbid a token of another order": {Parent: first.Parent, Filter: first.Filter, OrderBy: "create_time asc",
			PageToken: page.GetNextPageToken()},
		"forbid a token of another parent": {Parent: "other/results/-", Filter: first.Filter, OrderBy: first.OrderBy,
			PageToken: page.GetNextPageToken()},
		"forbid what is no token": {Parent: first.Parent, Filter: first.Filter, OrderBy: first.OrderBy,
			PageToken: "x"},
		"forbid a page of less than none":   {Parent: first.Parent, PageSize: -1},
		"forbid a page that is too small":   {Parent: first.Parent, PageSize: 4},
		"forbid a page that is too large":   {Parent: first.Parent, PageSize: 10_001},
		"forbid a list without a parent":    {},
		"forbid a parent that is no Result": {Parent: "team"},
	} {
		_, err := r.Results.ListRecords(r.As(member), request)
		r.wantCode(what, err, codes.InvalidArgument)
	}
}

// Archived runs form Results that nobody has created.
func TestProjectedResults(t *testing.T) {
	r := newFullRig(t)
	name := "team/results/" + pipelineOK.uid
	result, err := r.Results.GetResult(r.As(member), &pb.GetResultRequest{Name: name})
	if err != nil || result.GetSummary().GetRecord() != pipelineOK.record() ||
		result.GetSummary().GetType() != "tekton.dev/v1.PipelineRun" ||
		result.GetSummary().GetStatus() != pb.RecordSummary_SUCCESS || result.GetEtag() == "" {
		t.Errorf("%v, %v", result, err)
	}
	list, err := r.Results.ListResults(r.As(member), &pb.ListResultsRequest{Parent: "team",
		OrderBy: "create_time desc"})
	var names []string
	for _, result := range list.GetResults() {
		names = append(names, result.GetName())
	}
	want := []string{"team/results/" + cancelled.uid, "team/results/" + failed.uid, name}
	if diff := cmp.Diff(want, names); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for filter, want := range map[string]int{
		`summary.status == FAILURE`: 1, `summary.type == PIPELINE_RUN`: 1, `uid != ""`: 3, `parent == "team"`: 3,
		`annotations["object.metadata.name"] == "build-1"`: 1,
	} {
		list, err := r.Results.ListResults(r.As(member), &pb.ListResultsRequest{Parent: "team", Filter: filter})
		if err != nil || len(list.GetResults()) != want {
			t.Errorf("%s: %v, %v", filter, list, err)
		}
	}
}

// A run has three records: itself, its log and its events.
func TestProjectedRecords(t *testing.T) {
	r := newFullRig(t)
	got, err := r.list(member, "team/results/"+failed.uid, "", "")
	want := []string{failed.record(), "team/results/" + failed.uid + "/records/" + run.LogID(failed.uid, failed.uid),
		"team/results/" + failed.uid + "/records/" + run.EventListID(failed.uid, failed.uid)}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for id, kind := range map[string]string{
		failed.uid: "tekton.dev/v1.TaskRun", run.LogID(failed.uid, failed.uid): "results.tekton.dev/v1alpha3.Log",
		run.EventListID(failed.uid, failed.uid): "results.tekton.dev/v1.EventList",
	} {
		record, err := r.Results.GetRecord(r.As(member), &pb.GetRecordRequest{Name: "team/results/" + failed.uid +
			"/records/" + id})
		if err != nil || record.GetData().GetType() != kind {
			t.Errorf("%s: %v, %v", kind, record, err)
		}
	}
}

func TestSummary(t *testing.T) {
	r := newFullRig(t)
	request := &pb.RecordListSummaryRequest{Parent: "team/results/-", Filter: "data_type == TASK_RUN",
		Summary: "total,succeeded,failed,cancelled"}
	summary, err := r.Results.GetRecordListSummary(r.As(member), request)
	if err != nil || len(summary.GetSummary()) != 1 {
		t.Fatalf("%v, %v", summary, err)
	}
	if got, want := summary.GetSummary()[0].AsMap(), map[string]any{"total": 4.0, "succeeded": 2.0, "failed": 1.0,
		"cancelled": 1.0}; !cmp.Equal(got, want) {
		t.Errorf("%s", cmp.Diff(want, got))
	}
	code, text,
		_ := r.REST(member, http.MethodGet,
		prefix+"-/results/-/records/summary?summary=total&group_by=namespace&filter="+url.QueryEscape(
			"data_type == TASK_RUN"), "")
	groups, _ := r.Tree(text)["summary"].([]any)
	if code != http.StatusOK || len(groups) != 2 { // team and other, not secret
		t.Errorf("%d %s", code, text)
	}
	for what, request := range map[string]*pb.RecordListSummaryRequest{
		"no parent": {Summary: "total"}, "an unknown aggregation": {Parent: "team/results/-", Summary: "everything"},
		"an unknown group": {Parent: "team/results/-", Summary: "total", GroupBy: "colour"},
	} {
		_, err := r.Results.GetRecordListSummary(r.As(member), request)
		r.wantCode(what, err, codes.InvalidArgument)
	}
}
