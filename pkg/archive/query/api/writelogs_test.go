package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// What Tekton Results' watcher does with a run that no archiver handles: its Result, its record, a
// record for its log, and the log.
func TestWhatTheWatcherStores(t *testing.T) {
	r := newRig(t)
	name := resultName(failed)
	_, err := r.Results.GetResult(r.As(robot), &pb.GetResultRequest{Name: name})
	r.wantCode("before", err, codes.NotFound)
	r.createResult(name)
	record := r.createRecord(failed.record(), "tekton.dev/v1.TaskRun", string(failed.json()))
	record.Data.Value = []byte(strings.Replace(string(record.GetData().GetValue()), `"reason":"Failed"`,
		`"reason":"Late"`, 1))
	updated, err := r.Results.UpdateRecord(r.As(robot), &pb.UpdateRecordRequest{Record: record, Etag: record.GetEtag()})
	if err != nil || !strings.Contains(string(updated.GetData().GetValue()), "Late") {
		t.Errorf("%v, %v", updated, err)
	}
	logID := run.LogID(failed.uid, failed.uid)
	logRecord := name + "/records/" + logID
	r.createRecord(logRecord, "results.tekton.dev/v1alpha3.Log", fmt.Sprintf(
		`{"kind":"Log","apiVersion":"results.tekton.dev/v1alpha3","spec":{"resource":{"kind":"TaskRun","namespace":"team","name":"lint-1","uid":%q},"type":"File"},"status":{"path":"p"}}`,
		failed.uid))
	logName := name + "/logs/" + logID
	_, err = r.ReadLog(robot, logName)
	r.wantCode("a log that is not stored yet", err, codes.NotFound)
	summary, err := r.putLog(robot, logName, "first\n", "second\n")
	if err != nil || summary.GetBytesReceived() != 13 || summary.GetRecord() != logRecord {
		t.Errorf("%v, %v", summary, err)
	}
	for _, name := range []string{logName, failed.log()} { // by the log's ID and by the run's
		if log, err := r.ReadLog(robot, name); err != nil || log != "first\nsecond\n" {
			t.Errorf("%s: %q, %v", name, log, err)
		}
	}
	stored, err := r.Results.GetRecord(r.As(robot), &pb.GetRecordRequest{Name: logRecord})
	r.must(err)
	status := r.Tree(string(stored.GetData().GetValue()))["status"].(map[string]any)
	if status["isStored"] != true || status["size"] != 13.0 || status["path"] != "p" {
		t.Errorf("its record says %v", status)
	}
	_, err = r.Logs.DeleteLog(r.As(robot), &pb.DeleteLogRequest{Name: logName})
	r.must(err)
	for what, err := range map[string]error{
		"the log": second(r.ReadLog(robot, logName)), "its record": second(r.Results.GetRecord(r.As(robot),
			&pb.GetRecordRequest{Name: logRecord})),
		"delete it again": second(r.Logs.DeleteLog(r.As(robot), &pb.DeleteLogRequest{Name: logName})),
	} {
		r.wantCode(what, err, codes.NotFound)
	}
}

// Logs can be written only over gRPC. Other attempts get an error, even with curl's default
// Content-Type.
func TestLogsAreNotWrittenOverREST(t *testing.T) {
	r := newFullRig(t)
	for _, kind := range []string{"application/json", "application/x-www-form-urlencoded"} {
		for _, path := range []string{"team/results/tool/logs/l", "team/results/tool/logs", "team/results/-/logs"} {
			code, text, _ := r.REST(robot, http.MethodPost, prefix+path, `{"data":"aGkK"}`, "Content-Type", kind)
			if code < 400 {
				t.Errorf("POST %s of %s: %d %s", path, kind, code, text)
			}
		}
	}
}

// An import keeps the names of Tekton Results' records of logs.
func TestLogByTheNameOfAToolsRecord(t *testing.T) {
	r := newFullRig(t)
	want, err := r.ReadLog(robot, failed.log())
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
			r.createRecord(resultName(failed)+"/records/"+id, test.kind,
				fmt.Sprintf(`{"spec":{"resource":{"uid":%q}}}`, test.value))
			got, err := r.ReadLog(robot, resultName(failed)+"/logs/"+id)
			if test.found && (err != nil || got != want) {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
			if !test.found {
				r.wantCode(name, err, codes.NotFound)
			}
		})
	}
	_, err = r.Logs.DeleteLog(r.As(robot), &pb.DeleteLogRequest{Name: failed.log()})
	r.must(err)
	_, err = r.ReadLog(robot, resultName(failed)+"/logs/imported-"+fmt.Sprintf("%x", len("find the run that it names")))
	r.wantCode("a log that was deleted", err, codes.NotFound)
}
