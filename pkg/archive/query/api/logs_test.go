package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

func TestLogsOfArchivedRuns(t *testing.T) {
	r := newFullRig(t)
	for what, test := range map[string]struct{ name, want string }{
		"a TaskRun's by the run's name": {childOne.log(), "step-a :-\none\nstep-b :-\ntwo\n"},
		"a TaskRun's by the log's name": {resultName(childOne) + "/logs/" + run.LogID(uid(1), childOne.uid),
			"step-a :-\none\nstep-b :-\ntwo\n"},
		"one that ends without a line end": {childTwo.log(), "step-a :-\nthree\n"},
		"a PipelineRun's by the run's name": {pipelineOK.log(),
			"build-1-compile step-a :-\none\nbuild-1-compile step-b :-\ntwo\nbuild-1-test step-a :-\nthree\n"},
		"a PipelineRun's by the log's name": {
			resultName(pipelineOK) + "/logs/" + run.LogID(uid(1), uid(1)),
			"build-1-compile step-a :-\none\nbuild-1-compile step-b :-\ntwo\nbuild-1-test step-a :-\nthree\n",
		},
	} {
		if log, err := r.ReadLog(member, test.name); err != nil || log != test.want {
			t.Errorf("%s: %q, %v", what, log, err)
		}
		for _, version := range []string{"v1alpha2", "v1alpha3"} {
			path := strings.Replace(prefix, "v1alpha2", version, 1) + test.name
			code, text, header := r.REST(member, http.MethodGet, path, "", "Accept", "application/json")
			if code != 200 || text != test.want || !strings.HasPrefix(header.Get("Content-Type"), "text/plain") ||
				header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s over REST: %d %q %v", what, code, text, header)
			}
		}
	}
	for what, name := range map[string]string{
		"a run without logs": cancelled.log(), "no run": "team/results/x/logs/" + uid(99),
		"a run of another Result": resultName(failed) + "/logs/" + childOne.uid,
	} {
		_, err := r.ReadLog(member, name)
		r.wantCode(what, err, codes.NotFound)
	}
	for what, name := range map[string]string{"a record's name": failed.record(), "no name": "",
		"all": "team/results/-/logs"} {
		_, err := r.ReadLog(member, name)
		r.wantCode(what, err, codes.InvalidArgument)
	}
}

func TestListLogs(t *testing.T) {
	r := newFullRig(t)
	list, err := r.Logs.ListLogs(r.As(member), &pb.ListRecordsRequest{Parent: resultName(pipelineOK)})
	if err != nil || len(list.GetRecords()) == 0 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, log := range list.GetRecords() {
		if log.GetData().GetType() != "results.tekton.dev/v1alpha3.Log" ||
			!strings.HasPrefix(log.GetName(), resultName(pipelineOK)+"/logs/") {
			t.Errorf("%v", log)
		}
		if _, err := r.ReadLog(member, log.GetName()); err != nil {
			t.Errorf("%s is listed, and cannot be read: %v", log.GetName(), err)
		}
	}
}

// A commit's log does not change: a tool's log replaces or hides it.
func TestLogsOverArchivedOnes(t *testing.T) {
	r := newFullRig(t)
	byLog := resultName(failed) + "/logs/" + run.LogID(failed.uid, failed.uid)
	if summary, err := r.putLog(robot, byLog, "better"); err != nil || summary.GetBytesReceived() != 6 {
		t.Errorf("%v, %v", summary, err)
	}
	for _, name := range []string{byLog, failed.log()} {
		if log, err := r.ReadLog(member, name); err != nil || log != "better" {
			t.Errorf("%s: %q, %v", name, log, err)
		}
	}
	_, err := r.Logs.DeleteLog(r.As(robot), &pb.DeleteLogRequest{Name: failed.log()})
	r.must(err)
	for _, name := range []string{byLog, failed.log()} {
		_, err := r.ReadLog(member, name)
		r.wantCode("hidden: "+name, err, codes.NotFound)
	}
	_, err = r.Logs.DeleteLog(r.As(robot), &pb.DeleteLogRequest{Name: byLog})
	r.wantCode("delete it again", err, codes.NotFound)
	if _, err := r.Results.GetRecord(r.As(member), &pb.GetRecordRequest{Name: failed.record()}); err != nil {
		t.Errorf("the run: %v", err)
	}
}

// The replaced log is not shown elsewhere either: in its PipelineRun's log, or by its pod.
func TestLogsOverArchivedOnesOfAPipelineRun(t *testing.T) {
	r := newFullRig(t)
	const dashboard = "/external-logs/team/build-1-compile-pod/step-a"
	if before, err := r.ReadLog(member, pipelineOK.log()); err != nil || !strings.Contains(before, "one\n") {
		t.Fatalf("before: %q, %v", before, err)
	}
	name := resultName(pipelineOK) + "/logs/" + childOne.uid
	_, err := r.putLog(robot, name, "redacted\n")
	r.must(err)
	if log, err := r.ReadLog(member, pipelineOK.log()); err != nil || strings.Contains(log, "one\n") ||
		!strings.Contains(log, "redacted\n") {
		t.Errorf("replaced: %q, %v", log, err)
	}
	if code, text, _ := r.REST(member, http.MethodGet, dashboard, ""); code != 200 || text != "redacted\n" {
		t.Errorf("replaced, by its pod: %d %q", code, text)
	}
	r.must(second(r.Logs.DeleteLog(r.As(robot), &pb.DeleteLogRequest{Name: name})))
	if log, err := r.ReadLog(member, pipelineOK.log()); err != nil || strings.Contains(log, "one\n") ||
		strings.Contains(log, "redacted\n") {
		t.Errorf("deleted: %q, %v", log, err)
	}
	if code, text, _ := r.REST(member, http.MethodGet, dashboard, ""); code != 404 {
		t.Errorf("deleted, by its pod: %d %q", code, text)
	}
}

func TestLogsThatAreWrong(t *testing.T) {
	r := newFullRig(t)
	r.createResult("team/results/tool")
	r.createRecord("team/results/tool/records/one", "t", "{}")
	_, err := r.putLog(robot, "team/results/tool/logs/none", "x")
	r.wantCode("a log without a record", err, codes.NotFound)
	_, err = r.putLog(robot, "team/results/tool/logs/one", "x")
	r.wantCode("a log of a record that is none of a log", err, codes.FailedPrecondition)
	_, err = r.putLog(robot, failed.log())
	r.wantCode("nothing", err, codes.InvalidArgument)
	stream, err := r.Logs.UpdateLog(r.As(robot))
	r.must(err)
	r.must(stream.Send(&pb.Log{Name: failed.log(), Data: []byte("x")}))
	r.must(stream.Send(&pb.Log{Name: childOne.log(), Data: []byte("y")}))
	_, err = stream.CloseAndRecv()
	r.wantCode("two logs in one stream", err, codes.InvalidArgument)
	if log, err := r.ReadLog(member, failed.log()); err != nil || log != "step-a :-\nfour\n" {
		t.Errorf("what was refused is stored: %q, %v", log, err)
	}
}

// A broken upload stores nothing.
func TestLogThatIsBrokenOff(t *testing.T) {
	r := newFullRig(t)
	ctx, leave := context.WithCancel(r.As(robot))
	stream, err := r.Logs.UpdateLog(ctx)
	r.must(err)
	r.must(stream.Send(&pb.Log{Name: failed.log(), Data: bytes.Repeat([]byte("x"), 1<<20)}))
	leave()
	_, err = stream.CloseAndRecv()
	r.wantCode("who left", err, codes.Canceled)
	if log, err := r.ReadLog(member, failed.log()); err != nil || log != "step-a :-\nfour\n" {
		t.Errorf("%.20q, %v", log, err)
	}
}

// Logs are read and written in constant memory.
func TestLargeLog(t *testing.T) {
	r := newFullRig(t)
	const size = 64 << 20
	block := bytes.Repeat([]byte("0123456789abcde\n"), 4<<10) // 64 KiB
	stream, err := r.Logs.UpdateLog(r.As(robot))
	r.must(err)
	peak := &peak{}
	for range size / len(block) {
		r.must(stream.Send(&pb.Log{Name: failed.log(), Data: block}))
		peak.look()
	}
	summary, err := stream.CloseAndRecv()
	if err != nil || summary.GetBytesReceived() != size {
		t.Fatalf("%v, %v", summary, err)
	}
	reading, err := r.Logs.GetLog(r.As(member), &pb.GetLogRequest{Name: failed.log()})
	r.must(err)
	n := 0
	for {
		chunk, err := reading.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		r.must(err)
		n += len(chunk.GetData())
		peak.look()
	}
	if n != size {
		t.Errorf("%d bytes, want %d", n, size)
	}
	if peak.bytes > size/2 {
		t.Errorf("%d bytes of heap for a log of %d", peak.bytes, size)
	}
}

// peak is the largest live heap seen.
type peak struct {
	bytes uint64
	n     int
}

func (p *peak) look() {
	if p.n++; p.n%64 == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		p.bytes = max(p.bytes, m.HeapAlloc)
	}
}

// A damaged log is an error, and over REST a broken connection, so that nobody takes a part for the
// whole.
func TestDamagedLog(t *testing.T) {
	r := newRig(t)
	m := failed
	m.logs = map[string]string{"step-a": strings.Repeat("a line that is archived\n", 100_000)}
	c := r.add(m)
	var key string
	for _, part := range c.Parts {
		if part.Type == manifest.Log {
			key = part.Key
		}
	}
	path := r.archive.Path(key)
	content, err := os.ReadFile(path)
	r.must(err)
	content[len(content)-20] ^= 1
	r.must(os.Chmod(path, 0o600))
	r.must(os.WriteFile(path, content, 0o600))
	_, err = r.ReadLog(member, m.log())
	r.wantCode("damaged", err, codes.DataLoss)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+prefix+m.log(), nil)
	r.must(err)
	request.Header.Set("Authorization", "Bearer "+member)
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	if err == nil {
		t.Errorf("a damaged log comes to its end, with code %d", response.StatusCode)
	}
}

// The Tekton Dashboard requests a container's log by its pod.
func TestExternalLogs(t *testing.T) {
	r := newFullRig(t)
	r.add(made{
		kind: "TaskRun", namespace: "team", name: "tried-again", uid: uid(20), created: 900, status: "True",
		reason: "Succeeded",
		logs:   map[string]string{"step-a": "a\n"},
		more: map[string]any{"podName": "tried-again-pod-retry1",
			"retriesStatus": []any{map[string]any{"podName": "tried-again-pod"}}},
	})
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"team/build-1-compile-pod/step-a":      {200, "one\n"},
		"team/build-1-compile-pod/step-b":      {200, "two\n"},
		"team/build-1-compile-pod/step-c":      {404, ""},
		"team/tried-again-pod/step-a":          {200, "a\n"},
		"team/tried-again-pod-retry1/step-a":   {404, ""}, // that attempt has no log
		"team/other-pod/step-a":                {404, ""},
		"other/build-1-compile-pod/step-a":     {404, ""},
		"secret/launch-pod/step-a":             {403, ""},
		"team/Build-1/step-a":                  {400, ""},
		"team/build-1-compile-pod%22/step-a":   {400, ""},
		"-/build-1-compile-pod/step-a":         {400, ""},
		"team/build-1-compile-pod/step-a/more": {404, ""},
		"team/lint-1-pod/step-a":               {404, ""}, // a TaskRun whose record names no pod
	} {
		code, text, header := r.REST(member, http.MethodGet, "/external-logs/"+path, "")
		if code != want.code || code == 200 && (text != want.text ||
			!strings.HasPrefix(header.Get("Content-Type"), "text/plain")) {
			t.Errorf("%s: %d %q %v, want %d %q", path, code, text, header, want.code, want.text)
		}
	}
	r.createResult("team/results/tool")
	r.createRecord("team/results/tool/records/forged", "tekton.dev/v1.TaskRun",
		`{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"build-1-compile","namespace":"team","uid":"x","creationTimestamp":"2026-11-20T10:00:00Z"},"status":{"podName":"build-1-compile-pod"}}`)
	if code, text, _ := r.REST(member, http.MethodGet, "/external-logs/team/build-1-compile-pod/step-a",
		""); code != 200 || text != "one\n" {
		t.Errorf("beside a tool's record of the name: %d %q", code, text)
	}
	if code, _, _ := r.REST("", http.MethodGet, "/external-logs/team/build-1-compile-pod/step-a", ""); code != 401 {
		t.Errorf("without a token: %d", code)
	}
}
