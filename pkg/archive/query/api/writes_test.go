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
)

func (r *rig) createResult(name string) *pb.Result {
	r.Helper()
	result, err := r.Results.CreateResult(r.As(robot), &pb.CreateResultRequest{Parent: strings.Split(name, "/")[0],
		Result: &pb.Result{Name: name}})
	r.must(err)
	return result
}

func (r *rig) createRecord(name, kind, value string) *pb.Record {
	r.Helper()
	parent, _, _ := strings.Cut(name, "/records/")
	record, err := r.Results.CreateRecord(r.As(robot), &pb.CreateRecordRequest{
		Parent: parent, Record: &pb.Record{Name: name, Data: &pb.Any{Type: kind, Value: []byte(value)}},
	})
	r.must(err)
	return record
}

// A tool's Result has what the tool wrote last, with a new etag for each state.
func TestResultsOfTools(t *testing.T) {
	r := newFullRig(t)
	const name, record = "team/results/tool", "team/results/tool/records/one"
	summary := &pb.RecordSummary{Record: record, Type: "example.com/Build", Status: pb.RecordSummary_FAILURE,
		Annotations: map[string]string{"k": "v"}}
	created, err := r.Results.CreateResult(r.As(robot), &pb.CreateResultRequest{Parent: "team", Result: &pb.Result{
		Name: name, Annotations: map[string]string{"a": "1"}, Summary: summary, Uid: "mine", Etag: "mine",
	}})
	if err != nil || created.GetUid() == "mine" || created.GetEtag() == "mine" || created.GetUid() != created.GetId() || //nolint:staticcheck // older clients read id
		created.GetCreateTime() == nil {
		t.Fatalf("%v, %v", created, err)
	}
	r.wantResult(name, created)
	_, err = r.Results.CreateResult(r.As(robot), &pb.CreateResultRequest{Parent: "team",
		Result: &pb.Result{Name: name}})
	r.wantCode("create it again", err, codes.AlreadyExists)
	updated, err := r.Results.UpdateResult(r.As(robot), &pb.UpdateResultRequest{
		Name: name, Result: &pb.Result{Name: name, Annotations: map[string]string{"b": "2"}}, Etag: created.GetEtag(),
	})
	if err != nil || !cmp.Equal(updated.GetAnnotations(), map[string]string{"b": "2"}) || updated.GetSummary() != nil ||
		updated.GetEtag() == created.GetEtag() ||
		updated.GetUid() != created.GetUid() ||
		!updated.GetUpdateTime().AsTime().After(created.GetUpdateTime().AsTime()) {
		t.Errorf("%v, %v", updated, err)
	}
	r.wantResult(name, updated)
	_, err = r.Results.UpdateResult(r.As(robot), &pb.UpdateResultRequest{Name: name, Result: &pb.Result{Name: name},
		Etag: created.GetEtag()})
	r.wantCode("update with an old etag", err, codes.FailedPrecondition)
	_, err = r.Results.DeleteResult(r.As(robot), &pb.DeleteResultRequest{Name: name})
	r.wantCode("delete it", err, codes.OK)
	_, err = r.Results.GetResult(r.As(robot), &pb.GetResultRequest{Name: name})
	r.wantCode("get it", err, codes.NotFound)
	_, err = r.Results.DeleteResult(r.As(robot), &pb.DeleteResultRequest{Name: name})
	r.wantCode("delete it again", err, codes.NotFound)
	_, err = r.Results.UpdateResult(r.As(robot), &pb.UpdateResultRequest{Name: name, Result: &pb.Result{Name: name}})
	r.wantCode("update it", err, codes.NotFound)
	if again := r.createResult(name); again.GetUid() == created.GetUid() || again.GetEtag() == updated.GetEtag() {
		t.Errorf("created again it is the same: %v", again)
	}
}

// A namespace may have only a Result without records.
func TestResultInAnEmptyNamespace(t *testing.T) {
	r := newRig(t)
	created := r.createResult("team/results/tool")
	r.wantResult("team/results/tool", created)
	if list, err := r.Results.ListResults(r.As(robot), &pb.ListResultsRequest{Parent: "-"}); err != nil ||
		len(list.GetResults()) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

func (r *rig) wantResult(name string, want *pb.Result) {
	r.Helper()
	got, err := r.Results.GetResult(r.As(robot), &pb.GetResultRequest{Name: name})
	if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
		r.Errorf("get %s: %v %s", name, err, diff)
	}
}

func (r *rig) wantRecord(name string, want *pb.Record) {
	r.Helper()
	got, err := r.Results.GetRecord(r.As(robot), &pb.GetRecordRequest{Name: name})
	if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
		r.Errorf("get %s: %v %s", name, err, diff)
	}
}

func TestRecordsOfTools(t *testing.T) {
	r := newRig(t)
	r.createResult("team/results/tool")
	const name = "team/results/tool/records/one"
	created := r.createRecord(name, "example.com/Build", `{ "n": 1 }`)
	if created.GetData().GetType() != "example.com/Build" || created.GetUid() == "" || created.GetEtag() == "" ||
		created.GetCreateTime() == nil {
		t.Errorf("%v", created)
	}
	r.wantRecord(name, created)
	_, err := r.Results.CreateRecord(r.As(robot), &pb.CreateRecordRequest{Parent: "team/results/tool",
		Record: &pb.Record{Name: name}})
	r.wantCode("create it again", err, codes.AlreadyExists)
	updated, err := r.Results.UpdateRecord(r.As(robot), &pb.UpdateRecordRequest{
		Record: &pb.Record{Name: name, Data: &pb.Any{Value: []byte(`{"n":2}`)}}, Etag: created.GetEtag(),
	})
	if err != nil || string(updated.GetData().GetValue()) != `{"n":2}` ||
		updated.GetData().GetType() != "example.com/Build" || updated.GetEtag() == created.GetEtag() {
		t.Errorf("%v, %v", updated, err)
	}
	r.wantRecord(name, updated)
	for filter, want := range map[string]int{`data.n == 2`: 1, `data.n == 1`: 0,
		`data_type == "example.com/Build"`: 1} {
		if got, err := r.list(robot, "team/results/tool", filter, ""); err != nil || len(got) != want {
			t.Errorf("%s: %q, %v", filter, got, err)
		}
	}
	_, err = r.Results.UpdateRecord(r.As(robot), &pb.UpdateRecordRequest{Record: &pb.Record{Name: name},
		Etag: created.GetEtag()})
	r.wantCode("update with an old etag", err, codes.FailedPrecondition)
	_, err = r.Results.DeleteRecord(r.As(robot), &pb.DeleteRecordRequest{Name: name})
	r.wantCode("delete it", err, codes.OK)
	for what, err := range map[string]error{
		"get":    second(r.Results.GetRecord(r.As(robot), &pb.GetRecordRequest{Name: name})),
		"delete": second(r.Results.DeleteRecord(r.As(robot), &pb.DeleteRecordRequest{Name: name})),
		"update": second(r.Results.UpdateRecord(r.As(robot), &pb.UpdateRecordRequest{Record: &pb.Record{Name: name}})),
	} {
		r.wantCode(what+" what is deleted", err, codes.NotFound)
	}
}

func second[T any](_ T, err error) error { return err }

// A tool may set annotations and summary of a Result of archived runs, which stay as they are.
func TestOverlayOfAProjectedResult(t *testing.T) {
	r := newFullRig(t)
	name := resultName(failed)
	before, err := r.Results.GetResult(r.As(robot), &pb.GetResultRequest{Name: name})
	r.must(err)
	_, err = r.Results.UpdateResult(r.As(robot), &pb.UpdateResultRequest{Name: name, Result: &pb.Result{Name: name},
		Etag: "stale"})
	r.wantCode("another etag", err, codes.FailedPrecondition)
	updated, err := r.Results.UpdateResult(r.As(robot), &pb.UpdateResultRequest{
		Name: name, Etag: before.GetEtag(), Result: &pb.Result{Name: name,
			Annotations: map[string]string{"owner": "us"}, Summary: before.GetSummary()},
	})
	r.must(err)
	after, err := r.Results.GetResult(r.As(robot), &pb.GetResultRequest{Name: name})
	if err != nil || after.GetAnnotations()["owner"] != "us" || after.GetEtag() != updated.GetEtag() ||
		after.GetEtag() == before.GetEtag() ||
		after.GetSummary().GetRecord() != failed.record() ||
		!after.GetCreateTime().AsTime().Equal(before.GetCreateTime().AsTime()) {
		t.Errorf("%v, %v", after, err)
	}
	if got, err := r.list(robot, name, "data_type == TASK_RUN", ""); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
}

// DeleteResult deletes the Result's records too.
func TestDeleteResultWithItsRecords(t *testing.T) {
	r := newRig(t)
	r.createResult("team/results/tool")
	r.createResult("team/results/other")
	r.createRecord("team/results/tool/records/one", "t", "{}")
	r.createRecord("team/results/other/records/one", "t", "{}")
	_, err := r.Results.DeleteResult(r.As(robot), &pb.DeleteResultRequest{Name: "team/results/tool"})
	r.must(err)
	_, err = r.Results.GetRecord(r.As(robot), &pb.GetRecordRequest{Name: "team/results/tool/records/one"})
	r.wantCode("its record", err, codes.NotFound)
	got, err := r.list(robot, "team/results/-", "", "")
	if diff := cmp.Diff([]string{"team/results/other/records/one"}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// Of concurrent writers with the same etag one succeeds, and so does one of concurrent creators.
func TestWritersAtOnce(t *testing.T) {
	r := newRig(t)
	r.createResult("team/results/tool")
	const name = "team/results/tool/records/one"
	etag := r.createRecord(name, "t", `{"n":0}`).GetEtag()
	var won, made atomic.Int64
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			_, err := r.Results.UpdateRecord(r.As(robot), &pb.UpdateRecordRequest{
				Record: &pb.Record{Name: name, Data: &pb.Any{Type: "t", Value: fmt.Appendf(nil, `{"n":%d}`, i+1)}},
				Etag:   etag,
			})
			switch status.Code(err) {
			case codes.OK:
				won.Add(1)
			case codes.FailedPrecondition:
			default:
				t.Error(err)
			}
			_, err = r.Results.CreateRecord(r.As(robot), &pb.CreateRecordRequest{Parent: "team/results/tool",
				Record: &pb.Record{Name: "team/results/tool/records/two"}})
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

func TestWritesOverREST(t *testing.T) {
	r := newRig(t)
	step := func(method, path, body string, want int) map[string]any {
		t.Helper()
		code, text, _ := r.REST(robot, method, prefix+path, body)
		if code != want {
			t.Fatalf("%s %s: %d %s, want %d", method, path, code, text, want)
		}
		return r.Tree(text)
	}
	const result, record = "team/results/tool", "team/results/tool/records/one"
	step(http.MethodPost, "team/results", `{"name": "team/results/tool", "annotations": {"a": "1"}}`, 200)
	step(http.MethodPost, "team/results", `{"name": "team/results/tool"}`, 409)
	step(http.MethodPost, result+"/records",
		`{"name": "team/results/tool/records/one", "data": {"type": "t", "value": "e30="}}`, 200)
	etag := step(http.MethodGet, record, "", 200)["etag"].(string)
	step(http.MethodPatch, record+"?etag=other", `{"data": {"value": "WzFd"}}`, 400)
	if got := step(http.MethodPatch, record+"?etag="+etag, `{"data": {"value": "WzFd"}}`,
		200); got["data"].(map[string]any)["value"] != "WzFd" {
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
