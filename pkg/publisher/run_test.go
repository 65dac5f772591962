package publisher

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	tektonresult "github.com/tektoncd/pipeline/pkg/result"
)

// newStep returns options for a step whose files are in folders of its own: its script finds the
// results folder in $0 and the termination message in $1.
func newStep(t *testing.T, s *apiServer, script string) Options {
	t.Helper()
	o := testOptions(t)
	o.Results, o.UID, o.Server = []string{"digest"}, "run-uid", net.JoinHostPort(s.host, s.port)
	o.Command = []string{"sh", "-c", script, o.ResultsDir, o.TerminationMessage}
	s.credentials(t, o.Credentials, testToken)
	return o
}

const (
	writeResult = `printf 'sha256:va1ue\n' >$0/digest; `
	startedAt   = `printf '[{"key":"StartedAt","value":"2026-01-02T03:04:05.678Z","type":3}]' >$1; `
	timedOut    = `printf '[{"key":"Reason","value":"TimeoutExceeded","type":3}]' >$1; `
)

func TestRun(t *testing.T) {
	forbidden := status(403, "Forbidden", "not yours")
	tests := map[string]struct {
		script   string
		answer   http.HandlerFunc
		code     int
		requests int
		reason   string // in the termination message, "" for none
		says     []string
	}{
		"publishes after success":          {writeResult, nil, 0, 1, "", nil},
		"publishes after a failure too":    {writeResult + "exit 3", nil, 3, 1, "", nil},
		"publishes after a signal too":     {writeResult + "kill -KILL $$", nil, 137, 1, "", nil},
		"asks though there are no results": {"true", nil, 0, 1, "", nil},
		"fails a step with a result that no step has written": {startedAt + "true",
			raw(200, `{"status":{"results":[{"name":"digest","value":"forged"}]}}`), 74, 1,
			"ResultsNotPublished",
			[]string{`what is stored differs from the files: result "digest" is a string of 6 bytes, but no step has written its file`}},
		"fails a step whose results are refused": {startedAt + writeResult, forbidden, 74, 1,
			"ResultsNotPublished",
			[]string{"indelible: results not published: TaskRun ci/build-1: the API server answered " +
				"403 Forbidden: not yours"}},
		"keeps a failure's code when refused": {startedAt + writeResult + "exit 3", forbidden, 3, 1,
			"ResultsNotPublished", []string{"answered 403"}},
		"keeps Tekton's reason for a failure": {timedOut + writeResult + "exit 1", forbidden, 1, 1,
			"TimeoutExceeded", []string{"answered 403"}},
		"fails a step whose result cannot be read, and publishes what others have": {startedAt + "mkdir $0/digest",
			nil, 74,
			1,
			"ResultsNotPublished", []string{`result "digest" cannot be read`}},
		"fails a step whose result is too large": {startedAt + "truncate -s 2M $0/digest", nil, 74, 0,
			"ResultsNotPublished",
			[]string{`result "digest" is 2097152 bytes (2 MiB), over the limit of 1048576 bytes (1 MiB)`}},
		"fails a step whose stored result differs": {startedAt + writeResult,
			raw(200, `{"status":{"results":[{"name":"digest","value":"forged"}]}}`), 74, 1,
			"ResultsNotPublished", []string{`result "digest" is a string of 6 bytes, its file has 13 bytes`}},
		"says what it cannot explain in the TaskRun": {writeResult + "mkdir $1", forbidden, 74, 1, "-",
			[]string{"answered 403",
				"indelible: cannot explain this in the TaskRun: read termination message"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t, tt.answer)
			o := newStep(t, s, tt.script)
			code, stdout, stderr := runPublisher(t, publisherCommand(t, rolePublisher, o))
			if code != tt.code || stdout != "" {
				t.Errorf("code %d, want %d; stdout %q", code, tt.code, stdout)
			}
			if n := len(s.seen()); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if tt.says == nil && stderr != "" {
				t.Errorf("not silent: %s", stderr)
			}
			wantText(t, stderr, tt.says...)
			checkTermination(t, o, tt.reason, stderr)
			if strings.Contains(stderr, "va1ue") || strings.Contains(stderr, testToken) {
				t.Errorf("a secret is told: %s", stderr)
			}
		})
	}
}

// checkTermination expects the reason, and the explanation that stderr has.
func checkTermination(t *testing.T, o Options, reason, stderr string) {
	t.Helper()
	if reason == "-" {
		return
	}
	var entries []tektonresult.RunResult
	if _, err := os.Stat(o.TerminationMessage); err == nil {
		entries = controllerSees(t, o.TerminationMessage)
	}
	got := map[string]string{}
	for _, e := range entries {
		got[e.Key] = e.Value
	}
	if got["Reason"] != reason {
		t.Errorf("reason %q, want %q", got["Reason"], reason)
	}
	explanation, ok := got["indelible.dev/publish"]
	if ok != (reason != "") || !strings.Contains(stderr, explanation) {
		t.Errorf("the TaskRun is told %q, stderr %q", explanation, stderr)
	}
}

func TestRunSends(t *testing.T) {
	s := newAPIServer(t)
	o := newStep(t, s, writeResult+`mkdir $0/step; printf x >$0/step/log`)
	o.Own = StepResults{"build", filepath.Join(o.ResultsDir, "step"), []string{"log"}}
	code, _, stderr := runPublisher(t, publisherCommand(t, rolePublisher, o))
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	want := `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"build-1","namespace":"ci","uid":"run-uid"},` +
		`"status":{"results":[{"name":"digest","value":"sha256:va1ue\n"}],"steps":[{"name":"build","results":[{"name":"log","value":"x"}]}]}}`
	if got := string(s.seen()[0].body); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRunWithoutAReaderOfItsLog(t *testing.T) {
	s := newAPIServer(t, status(403, "Forbidden", "not yours"))
	o := newStep(t, s, startedAt+writeResult)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := publisherCommand(t, rolePublisher, o)
	cmd.Stderr = w
	_ = r.Close()
	_ = cmd.Run()
	_ = w.Close()
	// Go ends a program that writes to a closed stderr with SIGPIPE, which would leave exit code -1
	// here.
	if code := cmd.ProcessState.ExitCode(); code != 74 {
		t.Errorf("exit code %d, want 74", code)
	}
	checkTermination(t, o, "ResultsNotPublished", controllerSees(t, o.TerminationMessage)[2].Value)
}

func TestRunAfterSIGTERM(t *testing.T) {
	for name, tt := range map[string]struct {
		code     int
		requests int
		says     string
	}{
		"publishes what a command leaves that ends well when it is stopped": {0, 1, ""},
		"publishes nothing of a command that fails when it is stopped": {9, 0,
			"not published, as Tekton may run it again"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			o := newStep(t, s, `trap 'printf last >$0/digest; exit `+strconv.Itoa(tt.code)+
				`' TERM; echo ready; while :; do sleep 0.01; done`)
			cmd := publisherCommand(t, rolePublisher, o)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			readLine := startAndRead(t, cmd)
			readLine()
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			requests := s.seen()
			if len(requests) != tt.requests {
				t.Fatalf("requests %+v", requests)
			}
			if tt.requests > 0 && !strings.Contains(string(requests[0].body), `"value":"last"`) {
				t.Errorf("requests %+v", requests)
			}
			wantText(t, stderr.String(), tt.says)
		})
	}
	// Each of these would take an hour if SIGTERM did not bring the bound nearer.
	for name, answer := range map[string]func(arrived chan<- struct{}) http.HandlerFunc{
		"ends an attempt that gets no answer": func(arrived chan<- struct{}) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				arrived <- struct{}{}
				<-r.Context().Done()
			}
		},
		"ends a pause": func(arrived chan<- struct{}) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				status(503, "ServiceUnavailable", "away", "Retry-After", "3000")(w, r)
				arrived <- struct{}{}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan struct{}, 10)
			s := newAPIServer(t, slices.Repeat([]http.HandlerFunc{answer(arrived)}, 10)...)
			o := newStep(t, s, startedAt+writeResult)
			o.Timeout, o.GracePeriod = time.Hour, 2*time.Second
			cmd := publisherCommand(t, rolePublisher, o)
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-arrived
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(bufio.NewReader(stderr))
			if err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 74 {
				t.Errorf("exit code %d, want 74", code)
			}
			wantText(t, string(text), "at the end of the pod's grace period of 2s")
			checkTermination(t, o, "ResultsNotPublished", string(text))
		})
	}
}
