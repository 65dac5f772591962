package api

import (
	"strings"
	"testing"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestWritesThatAreWrong(t *testing.T) {
	r := newFullRig(t)
	r.createResult("team/results/tool")
	create := func(parent, name string, data *pb.Any) error {
		return second(r.Results.CreateRecord(r.As(admin), &pb.CreateRecordRequest{Parent: parent,
			Record: &pb.Record{Name: name, Data: data}}))
	}
	result := func(parent string, result *pb.Result) error {
		return second(r.Results.CreateResult(r.As(admin), &pb.CreateResultRequest{Parent: parent, Result: result}))
	}
	summary := func(record, kind string) *pb.Result {
		return &pb.Result{Name: "team/results/new", Summary: &pb.RecordSummary{Record: record, Type: kind}}
	}
	long := strings.Repeat("x", 769)
	for what, test := range map[string]struct {
		err  error
		want codes.Code
	}{
		"forbid a Result of another parent": {result("other", &pb.Result{Name: "team/results/new"}),
			codes.InvalidArgument},
		"forbid a Result without a name": {result("team", &pb.Result{}), codes.InvalidArgument},
		"forbid a Result with letters that names lack": {result("team", &pb.Result{Name: "team/results/New"}),
			codes.InvalidArgument},
		"forbid a Result of a long name": {result("team",
			&pb.Result{Name: "team/results/" + long[:64]}), codes.InvalidArgument},
		"forbid a Result of all parents": {result("-", &pb.Result{Name: "-/results/new"}),
			codes.InvalidArgument},
		"forbid a summary without a type": {result("team", summary("team/results/new/records/x", "")),
			codes.InvalidArgument},
		"forbid a summary of no record": {result("team", summary("x", "t")), codes.InvalidArgument},
		"forbid a summary of a long type": {result("team", summary("team/results/new/records/x", long)),
			codes.InvalidArgument},
		"forbid a record of another parent": {create("team/results/other", "team/results/tool/records/x",
			nil), codes.InvalidArgument},
		"forbid a record without a Result": {create("team/results/none", "team/results/none/records/x",
			nil), codes.NotFound},
		"forbid a record of all Results": {create("team/results/-", "team/results/-/records/x", nil),
			codes.InvalidArgument},
		"forbid a type that is too long": {create("team/results/tool", "team/results/tool/records/x",
			&pb.Any{Type: long, Value: []byte("{}")}), codes.InvalidArgument},
		"allow the longest type": {create("team/results/tool", "team/results/tool/records/y",
			&pb.Any{Type: long[:768], Value: []byte("{}")}), codes.OK},
		"forbid data that is no JSON": {create("team/results/tool", "team/results/tool/records/x",
			&pb.Any{Type: "t", Value: []byte("{")}), codes.InvalidArgument},
		"allow a record without data": {create("team/results/tool", "team/results/tool/records/z",
			nil), codes.OK},
		"forbid a record named like an archived run": {create(resultName(failed), failed.record(),
			&pb.Any{Type: "t", Value: []byte("{}")}), codes.AlreadyExists},
		"forbid a Result that archived runs make": {result("team", &pb.Result{Name: resultName(failed)}),
			codes.AlreadyExists},
		"allow a record beside an archived run": {create(resultName(failed),
			resultName(failed)+"/records/scan", &pb.Any{Type: "t", Value: []byte(`{"n":1}`)}), codes.OK},
		"forbid other data for an archived run": {second(r.Results.UpdateRecord(r.As(admin),
			&pb.UpdateRecordRequest{Record: &pb.Record{Name: failed.record(),
				Data: &pb.Any{Type: "tekton.dev/v1.TaskRun", Value: []byte("{}")}}})), codes.FailedPrecondition},
		"allow the same data for an archived run": {second(r.Results.UpdateRecord(r.As(admin),
			&pb.UpdateRecordRequest{Record: &pb.Record{Name: failed.record(),
				Data: &pb.Any{Type: "tekton.dev/v1.TaskRun", Value: failed.json()}}})), codes.OK},
		"forbid to delete an archived run": {second(r.Results.DeleteRecord(r.As(admin),
			&pb.DeleteRecordRequest{Name: failed.record()})), codes.FailedPrecondition},
		"forbid to delete a Result with archived runs": {second(r.Results.DeleteResult(r.As(admin),
			&pb.DeleteResultRequest{Name: resultName(failed)})), codes.FailedPrecondition},
		"forbid an update under two names": {second(r.Results.UpdateResult(r.As(admin),
			&pb.UpdateResultRequest{Name: "team/results/tool", Result: &pb.Result{Name: "team/results/other"}})),
			codes.InvalidArgument},
		"allow an update without the name in the Result": {second(r.Results.UpdateResult(r.As(admin),
			&pb.UpdateResultRequest{Name: "team/results/tool"})), codes.OK},
	} {
		r.wantCode(what, test.err, test.want)
	}
}

func TestReadOnly(t *testing.T) {
	r := newFullRig(t, func(o *Options) { o.ReadOnly = true })
	for name, call := range calls {
		got := status.Code(call.do(r.As(admin), r, failed))
		if write := call.verb != "get" && call.verb != "list"; write && got != codes.Unimplemented || !write &&
			got != codes.OK {
			t.Errorf("%s: %s", name, got)
		}
	}
}
