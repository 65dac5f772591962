package api

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

func (r *rig) createResult(name string) *pb.Result {
	r.Helper()
	result, err := r.results.CreateResult(r.as(robot), &pb.CreateResultRequest{Parent: strings.Split(name, "/")[0], Result: &pb.Result{Name: name}})
	r.must(err)
	return result
}

func (r *rig) createRecord(name, kind, value string) *pb.Record {
	r.Helper()
	parent, _, _ := strings.Cut(name, "/records/")
	record, err := r.results.CreateRecord(r.as(robot), &pb.CreateRecordRequest{
		Parent: parent, Record: &pb.Record{Name: name, Data: &pb.Any{Type: kind, Value: []byte(value)}},
	})
	r.must(err)
	return record
}

// A tool's Result is what it wrote, until it writes something else, with an etag for each state.
func TestResultsOfTools(t *testing.T) {
	r := newFullRig(t)
	const name, record = "team/results/tool", "team/results/tool/records/one"
	summary := &pb.RecordSummary{Record: record, Type: "example.com/Build", Status: pb.RecordSummary_FAILURE, Annotations: map[string]string{"k": "v"}}
	created, err := r.results.CreateResult(r.as(robot), &pb.CreateResultRequest{Parent: "team", Result: &pb.Result{
		Name: name, Annotations: map[string]string{"a": "1"}, Summary: summary, Uid: "mine", Etag: "mine",
	}})
	if err != nil || created.GetUid() == "mine" || created.GetEtag() == "mine" || created.GetUid() != created.GetId() || created.GetCreateTime() == nil { //nolint:staticcheck // old clients read id
		t.Fatalf("%v, %v", created, err)
	}
	r.wantResult(name, created)
	_, err = r.results.CreateResult(r.as(robot), &pb.CreateResultRequest{Parent: "team", Result: &pb.Result{Name: name}})
	r.wantCode("create it again", err, codes.AlreadyExists)
	updated, err := r.results.UpdateResult(r.as(robot), &pb.UpdateResultRequest{
		Name: name, Result: &pb.Result{Name: name, Annotations: map[string]string{"b": "2"}}, Etag: created.GetEtag(),
	})
	if err != nil || !cmp.Equal(updated.GetAnnotations(), map[string]string{"b": "2"}) || updated.GetSummary() != nil || updated.GetEtag() == created.GetEtag() ||
		updated.GetUid() != created.GetUid() || !updated.GetUpdateTime().AsTime().After(created.GetUpdateTime().AsTime()) {
		t.Errorf("%v, %v", updated, err)
	}
	r.wantResult(name, updated)
	_, err = r.results.UpdateResult(r.as(robot), &pb.UpdateResultRequest{Name: name, Result: &pb.Result{Name: name}, Etag: created.GetEtag()})
	r.wantCode("update with an old etag", err, codes.FailedPrecondition)
	_, err = r.results.DeleteResult(r.as(robot), &pb.DeleteResultRequest{Name: name})
	r.wantCode("delete it", err, codes.OK)
	_, err = r.results.GetResult(r.as(robot), &pb.GetResultRequest{Name: name})
	r.wantCode("get it", err, codes.NotFound)
	_, err = r.results.DeleteResult(r.as(robot), &pb.DeleteResultRequest{Name: name})
	r.wantCode("delete it again", err, codes.NotFound)
	_, err = r.results.UpdateResult(r.as(robot), &pb.UpdateResultRequest{Name: name, Result: &pb.Result{Name: name}})
	r.wantCode("update it", err, codes.NotFound)
	if again := r.createResult(name); again.GetUid() == created.GetUid() || again.GetEtag() == updated.GetEtag() {
		t.Errorf("created again it is the same: %v", again)
	}
}

// A namespace may have nothing but a Result without records.
func TestResultInAnEmptyNamespace(t *testing.T) {
	r := newRig(t)
	created := r.createResult("team/results/tool")
	r.wantResult("team/results/tool", created)
	if list, err := r.results.ListResults(r.as(robot), &pb.ListResultsRequest{Parent: "-"}); err != nil || len(list.GetResults()) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

func (r *rig) wantResult(name string, want *pb.Result) {
	r.Helper()
	got, err := r.results.GetResult(r.as(robot), &pb.GetResultRequest{Name: name})
	if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
		r.Errorf("get %s: %v %s", name, err, diff)
	}
}

func (r *rig) wantRecord(name string, want *pb.Record) {
	r.Helper()
	got, err := r.results.GetRecord(r.as(robot), &pb.GetRecordRequest{Name: name})
	if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
		r.Errorf("get %s: %v %s", name, err, diff)
	}
}

func TestRecordsOfTools(t *testing.T) {
	r := newRig(t)
	r.createResult("team/results/tool")
	const name = "team/results/tool/records/one"
	created := r.createRecord(name, "example.com/Build", `{ "n": 1 }`)
	if created.GetData().GetType() != "example.com/Build" || created.GetUid() == "" || created.GetEtag() == "" || created.GetCreateTime() == nil {
		t.Errorf("%v", created)
	}
	r.wantRecord(name, created)
	_, err := r.results.CreateRecord(r.as(robot), &pb.CreateRecordRequest{Parent: "team/results/tool", Record: &pb.Record{Name: name}})
	r.wantCode("create it again", err, codes.AlreadyExists)
	updated, err := r.results.UpdateRecord(r.as(robot), &pb.UpdateRecordRequest{
		Record: &pb.Record{Name: name, Data: &pb.Any{Value: []byte(`{"n":2}`)}}, Etag: created.GetEtag(),
	})
	if err != nil || string(updated.GetData().GetValue()) != `{"n":2}` || updated.GetData().GetType() != "example.com/Build" || updated.GetEtag() == created.GetEtag() {
		t.Errorf("%v, %v", updated, err)
	}
	r.wantRecord(name, updated)
	for filter, want := range map[string]int{`data.n == 2`: 1, `data.n == 1`: 0, `data_type == "example.com/Build"`: 1} {
		if got, err := r.list(robot, "team/results/tool", filter, ""); err != nil || len(got) != want {
			t.Errorf("%s: %q, %v", filter, got, err)
		}
	}
	_, err = r.results.UpdateRecord(r.as(robot), &pb.UpdateRecordRequest{Record: &pb.Record{Name: name}, Etag: created.GetEtag()})
	r.wantCode("update with an old etag", err, codes.FailedPrecondition)
	_, err = r.results.DeleteRecord(r.as(robot), &pb.DeleteRecordRequest{Name: name})
	r.wantCode("delete it", err, codes.OK)
	for what, err := range map[string]error{
		"get":    second(r.results.GetRecord(r.as(robot), &pb.GetRecordRequest{Name: name})),
		"delete": second(r.results.DeleteRecord(r.as(robot), &pb.DeleteRecordRequest{Name: name})),
		"update": second(r.results.UpdateRecord(r.as(robot), &pb.UpdateRecordRequest{Record: &pb.Record{Name: name}})),
	} {
		r.wantCode(what+" what is deleted", err, codes.NotFound)
	}
}

func second[T any](_ T, err error) error { return err }

func TestWritesThatAreWrong(t *testing.T) {
	r := newFullRig(t)
	r.createResult("team/results/tool")
	create := func(parent, name string, data *pb.Any) error {
		return second(r.results.CreateRecord(r.as(admin), &pb.CreateRecordRequest{Parent: parent, Record: &pb.Record{Name: name, Data: data}}))
	}
	result := func(parent string, result *pb.Result) error {
		return second(r.results.CreateResult(r.as(admin), &pb.CreateResultRequest{Parent: parent, Result: result}))
	}
	summary := func(record, kind string) *pb.Result {
		return &pb.Result{Name: "team/results/new", Summary: &pb.RecordSummary{Record: record, Type: kind}}
	}
	long := strings.Repeat("x", 769)
	for what, test := range map[string]struct {
		err  error
		want codes.Code
	}{
		"forbid a Result of another parent":              {result("other", &pb.Result{Name: "team/results/new"}), codes.InvalidArgument},
		"forbid a Result without a name":                 {result("team", &pb.Result{}), codes.InvalidArgument},
		"forbid a Result with letters that names lack":   {result("team", &pb.Result{Name: "team/results/New"}), codes.InvalidArgument},
		"forbid a Result of a long name":                 {result("team", &pb.Result{Name: "team/results/" + long[:64]}), codes.InvalidArgument},
		"forbid a Result of all parents":                 {result("-", &pb.Result{Name: "-/results/new"}), codes.InvalidArgument},
		"forbid a summary without a type":                {result("team", summary("team/results/new/records/x", "")), codes.InvalidArgument},
		"forbid a summary of no record":                  {result("team", summary("x", "t")), codes.InvalidArgument},
		"forbid a summary of a long type":                {result("team", summary("team/results/new/records/x", long)), codes.InvalidArgument},
		"forbid a record of another parent":              {create("team/results/other", "team/results/tool/records/x", nil), codes.InvalidArgument},
		"forbid a record without a Result":               {create("team/results/none", "team/results/none/records/x", nil), codes.NotFound},
		"forbid a record of all Results":                 {create("team/results/-", "team/results/-/records/x", nil), codes.InvalidArgument},
		"forbid a type that is too long":                 {create("team/results/tool", "team/results/tool/records/x", &pb.Any{Type: long, Value: []byte("{}")}), codes.InvalidArgument},
		"allow the longest type":                         {create("team/results/tool", "team/results/tool/records/y", &pb.Any{Type: long[:768], Value: []byte("{}")}), codes.OK},
		"forbid data that is no JSON":                    {create("team/results/tool", "team/results/tool/records/x", &pb.Any{Type: "t", Value: []byte("{")}), codes.InvalidArgument},
		"allow a record without data":                    {create("team/results/tool", "team/results/tool/records/z", nil), codes.OK},
		"forbid a record named like an archived run":     {create(resultName(failed), failed.record(), &pb.Any{Type: "t", Value: []byte("{}")}), codes.AlreadyExists},
		"forbid a Result that archived runs make":        {result("team", &pb.Result{Name: resultName(failed)}), codes.AlreadyExists},
		"allow a record beside an archived run":          {create(resultName(failed), resultName(failed)+"/records/scan", &pb.Any{Type: "t", Value: []byte(`{"n":1}`)}), codes.OK},
		"forbid other data for an archived run":          {second(r.results.UpdateRecord(r.as(admin), &pb.UpdateRecordRequest{Record: &pb.Record{Name: failed.record(), Data: &pb.Any{Type: "tekton.dev/v1.TaskRun", Value: []byte("{}")}}})), codes.FailedPrecondition},
		"allow the same data for an archived run":        {second(r.results.UpdateRecord(r.as(admin), &pb.UpdateRecordRequest{Record: &pb.Record{Name: failed.record(), Data: &pb.Any{Type: "tekton.dev/v1.TaskRun", Value: failed.json()}}})), codes.OK},
		"forbid to delete an archived run":               {second(r.results.DeleteRecord(r.as(admin), &pb.DeleteRecordRequest{Name: failed.record()})), codes.FailedPrecondition},
		"forbid to delete a Result with archived runs":   {second(r.results.DeleteResult(r.as(admin), &pb.DeleteResultRequest{Name: resultName(failed)})), codes.FailedPrecondition},
		"forbid an update under two names":               {second(r.results.UpdateResult(r.as(admin), &pb.UpdateResultRequest{Name: "team/results/tool", Result: &pb.Result{Name: "team/results/other"}})), codes.InvalidArgument},
		"allow an update without the name in the Result": {second(r.results.UpdateResult(r.as(admin), &pb.UpdateResultRequest{Name: "team/results/tool"})), codes.OK},
	} {
		r.wantCode(what, test.err, test.want)
	}
}

// A tool may set annotations and the summary of a Result that archived runs make, and the runs stay what they are.
func TestOverlayOfAProjectedResult(t *testing.T) {
	r := newFullRig(t)
	name := resultName(failed)
	before, err := r.results.GetResult(r.as(robot), &pb.GetResultRequest{Name: name})
	r.must(err)
	_, err = r.results.UpdateResult(r.as(robot), &pb.UpdateResultRequest{Name: name, Result: &pb.Result{Name: name}, Etag: "stale"})
	r.wantCode("another etag", err, codes.FailedPrecondition)
	updated, err := r.results.UpdateResult(r.as(robot), &pb.UpdateResultRequest{
		Name: name, Etag: before.GetEtag(), Result: &pb.Result{Name: name, Annotations: map[string]string{"owner": "us"}, Summary: before.GetSummary()},
	})
	r.must(err)
	after, err := r.results.GetResult(r.as(robot), &pb.GetResultRequest{Name: name})
	if err != nil || after.GetAnnotations()["owner"] != "us" || after.GetEtag() != updated.GetEtag() || after.GetEtag() == before.GetEtag() ||
		after.GetSummary().GetRecord() != failed.record() || !after.GetCreateTime().AsTime().Equal(before.GetCreateTime().AsTime()) {
		t.Errorf("%v, %v", after, err)
	}
	if got, err := r.list(robot, name, "data_type == TASK_RUN", ""); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
}

// DeleteResult deletes the Result's records as well.
func TestDeleteResultWithItsRecords(t *testing.T) {
	r := newRig(t)
	r.createResult("team/results/tool")
	r.createResult("team/results/other")
	r.createRecord("team/results/tool/records/one", "t", "{}")
	r.createRecord("team/results/other/records/one", "t", "{}")
	_, err := r.results.DeleteResult(r.as(robot), &pb.DeleteResultRequest{Name: "team/results/tool"})
	r.must(err)
	_, err = r.results.GetRecord(r.as(robot), &pb.GetRecordRequest{Name: "team/results/tool/records/one"})
	r.wantCode("its record", err, codes.NotFound)
	got, err := r.list(robot, "team/results/-", "", "")
	if diff := cmp.Diff([]string{"team/results/other/records/one"}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// Of many who write with the same etag one wins, and of many who create one does.
func TestWritersAtOnce(t *testing.T) {
	r := newRig(t)
	r.createResult("team/results/tool")
	const name = "team/results/tool/records/one"
	etag := r.createRecord(name, "t", `{"n":0}`).GetEtag()
	var won, made atomic.Int64
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			_, err := r.results.UpdateRecord(r.as(robot), &pb.UpdateRecordRequest{
				Record: &pb.Record{Name: name, Data: &pb.Any{Type: "t", Value: fmt.Appendf(nil, `{"n":%d}`, i+1)}}, Etag: etag,
			})
			switch status.Code(err) {
			case codes.OK:
				won.Add(1)
			case codes.FailedPrecondition:
			default:
				t.Error(err)
			}
			_, err = r.results.CreateRecord(r.as(robot), &pb.CreateRecordRequest{Parent: "team/results/tool", Record: &pb.Record{Name: "team/results/tool/records/two"}})
			switch status.Code(err) {
			case codes.OK:
				made.Add(1)
			case codes.AlreadyExists:
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || made.Load() != 1 {
		t.Errorf("%d updates and %d creations won", won.Load(), made.Load())
	}
}

// What Tekton Results' watcher does with a run that no archiver has: its Result, its record, a record for its log, and the log.
func TestWhatTheWatcherStores(t *testing.T) {
	r := newRig(t)
	name := resultName(failed)
	_, err := r.results.GetResult(r.as(robot), &pb.GetResultRequest{Name: name})
	r.wantCode("before", err, codes.NotFound)
	r.createResult(name)
	record := r.createRecord(failed.record(), "tekton.dev/v1.TaskRun", string(failed.json()))
	record.Data.Value = []byte(strings.Replace(string(record.GetData().GetValue()), `"reason":"Failed"`, `"reason":"Late"`, 1))
	updated, err := r.results.UpdateRecord(r.as(robot), &pb.UpdateRecordRequest{Record: record, Etag: record.GetEtag()})
	if err != nil || !strings.Contains(string(updated.GetData().GetValue()), "Late") {
		t.Errorf("%v, %v", updated, err)
	}
	logID := run.LogID(failed.uid, failed.uid)
	logRecord := name + "/records/" + logID
	r.createRecord(logRecord, "results.tekton.dev/v1alpha3.Log", fmt.Sprintf(
		`{"kind":"Log","apiVersion":"results.tekton.dev/v1alpha3","spec":{"resource":{"kind":"TaskRun","namespace":"team","name":"lint-1","uid":%q},"type":"File"},"status":{"path":"p"}}`, failed.uid))
	logName := name + "/logs/" + logID
	_, err = r.log(robot, logName)
	r.wantCode("a log that is not stored yet", err, codes.NotFound)
	summary, err := r.putLog(robot, logName, "first\n", "second\n")
	if err != nil || summary.GetBytesReceived() != 13 || summary.GetRecord() != logRecord {
		t.Errorf("%v, %v", summary, err)
	}
	for _, name := range []string{logName, failed.log()} { // by the log's name and by the run's
		if log, err := r.log(robot, name); err != nil || log != "first\nsecond\n" {
			t.Errorf("%s: %q, %v", name, log, err)
		}
	}
	stored, err := r.results.GetRecord(r.as(robot), &pb.GetRecordRequest{Name: logRecord})
	r.must(err)
	status := r.tree(string(stored.GetData().GetValue()))["status"].(map[string]any)
	if status["isStored"] != true || status["size"] != 13.0 || status["path"] != "p" {
		t.Errorf("its record says %v", status)
	}
	_, err = r.logs.DeleteLog(r.as(robot), &pb.DeleteLogRequest{Name: logName})
	r.must(err)
	for what, err := range map[string]error{
		"the log": second(r.log(robot, logName)), "its record": second(r.results.GetRecord(r.as(robot), &pb.GetRecordRequest{Name: logRecord})),
		"delete it again": second(r.logs.DeleteLog(r.as(robot), &pb.DeleteLogRequest{Name: logName})),
	} {
		r.wantCode(what, err, codes.NotFound)
	}
}

// Logs are written by gRPC alone. Who tries it otherwise hears so, also with the Content-Type that curl sends by itself.
func TestLogsAreNotWrittenOverREST(t *testing.T) {
	r := newFullRig(t)
	for _, kind := range []string{"application/json", "application/x-www-form-urlencoded"} {
		for _, path := range []string{"team/results/tool/logs/l", "team/results/tool/logs", "team/results/-/logs"} {
			code, text, _ := r.rest(robot, http.MethodPost, prefix+path, `{"data":"aGkK"}`, "Content-Type", kind)
			if code < 400 {
				t.Errorf("POST %s of %s: %d %s", path, kind, code, text)
			}
		}
	}
}

// An import keeps the names that Tekton Results gave to records about logs.
func TestLogByTheNameOfAToolsRecord(t *testing.T) {
	r := newFullRig(t)
	want, err := r.log(robot, failed.log())
	r.must(err)
	for name, test := range map[string]struct {
		kind, value string
		found       bool
	}{
		"find the run that it names":            {"results.tekton.dev/v1alpha3.Log", failed.uid, true},
		"find no run of another Result":         {"results.tekton.dev/v1alpha3.Log", pipelineOK.uid, false},
		"find no run of another namespace":      {"results.tekton.dev/v1alpha3.Log", secret.uid, false},
		"find nothing by a record of its words": {"example.com/Report", failed.uid, false},
	} {
		t.Run(name, func(t *testing.T) {
			id := fmt.Sprintf("imported-%x", len(name))
			r.createRecord(resultName(failed)+"/records/"+id, test.kind, fmt.Sprintf(`{"spec":{"resource":{"uid":%q}}}`, test.value))
			got, err := r.log(robot, resultName(failed)+"/logs/"+id)
			if test.found && (err != nil || got != want) {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
			if !test.found {
				r.wantCode(name, err, codes.NotFound)
			}
		})
	}
	_, err = r.logs.DeleteLog(r.as(robot), &pb.DeleteLogRequest{Name: failed.log()})
	r.must(err)
	_, err = r.log(robot, resultName(failed)+"/logs/imported-"+fmt.Sprintf("%x", len("find the run that it names")))
	r.wantCode("a log that was deleted", err, codes.NotFound)
}

func TestWritesOverREST(t *testing.T) {
	r := newRig(t)
	step := func(method, path, body string, want int) map[string]any {
		t.Helper()
		code, text, _ := r.rest(robot, method, prefix+path, body)
		if code != want {
			t.Fatalf("%s %s: %d %s, want %d", method, path, code, text, want)
		}
		return r.tree(text)
	}
	const result, record = "team/results/tool", "team/results/tool/records/one"
	step(http.MethodPost, "team/results", `{"name": "team/results/tool", "annotations": {"a": "1"}}`, 200)
	step(http.MethodPost, "team/results", `{"name": "team/results/tool"}`, 409)
	step(http.MethodPost, result+"/records", `{"name": "team/results/tool/records/one", "data": {"type": "t", "value": "e30="}}`, 200)
	etag := step(http.MethodGet, record, "", 200)["etag"].(string)
	step(http.MethodPatch, record+"?etag=other", `{"data": {"value": "WzFd"}}`, 400)
	if got := step(http.MethodPatch, record+"?etag="+etag, `{"data": {"value": "WzFd"}}`, 200); got["data"].(map[string]any)["value"] != "WzFd" {
		t.Errorf("%v", got)
	}
	step(http.MethodPatch, result, `{"annotations": {"b": "2"}}`, 200)
	if got := step(http.MethodGet, result, "", 200); !cmp.Equal(got["annotations"], any(map[string]any{"b": "2"})) {
		t.Errorf("%v", got)
	}
	step(http.MethodDelete, record, "", 200)
	step(http.MethodGet, record, "", 404)
	step(http.MethodDelete, result, "", 200)
	step(http.MethodDelete, result, "", 404)
	step(http.MethodPost, "team/results", `{`, 400)
}

func TestReadOnly(t *testing.T) {
	r := newFullRig(t, func(o *Options) { o.ReadOnly = true })
	for name, call := range calls {
		got := status.Code(call.do(r.as(admin), r, failed))
		if write := call.verb != "get" && call.verb != "list"; write && got != codes.Unimplemented || !write && got != codes.OK {
			t.Errorf("%s: %s", name, got)
		}
	}
}
