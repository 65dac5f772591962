package publisher

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

const testToken = "eyJhbGciOiJSUzI1NiJ9.the-token"

// publication is one publication in a test: the sender, its server and its time.
type publication struct {
	options Options
	server  *apiServer
	time    *fakeTime
	bound   *bound
	sender  *sender
	logged  []string
}

func newPublication(t *testing.T, server *apiServer) *publication {
	t.Helper()
	p := &publication{options: testOptions(t), server: server, time: newFakeTime()}
	server.credentials(t, p.options.Credentials, testToken+"\n")
	e, err := newEndpoint(p.options, server.env)
	if err != nil {
		t.Fatal(err)
	}
	p.bound = newBound(p.time.clock(), p.options.Timeout, p.options.GracePeriod)
	p.sender = &sender{
		options: p.options, endpoint: e, bound: p.bound, clock: p.time.clock(),
		logf: func(format string, args ...any) { p.logged = append(p.logged, fmt.Sprintf(format, args...)) },
	}
	return p
}

// publish returns the explanation, or nothing.
func (p *publication) publish(t *testing.T, c collected) string {
	t.Helper()
	ctx, cancel := p.bound.begin()
	defer cancel()
	err := p.sender.publish(ctx, c)
	if err == nil {
		return ""
	}
	var pr *problem
	if !errors.As(err, &pr) {
		t.Fatalf("%T is no *problem: %v", err, err)
	}
	return explain(p.options, pr, c, p.sender.effort)
}

func someResults() collected {
	return collected{
		Results: []named{{"digest", "sha256:d1ge57-va1ue"}, {"list", `["<a>&","b"]`}},
		Steps:   []stepResults{{"build", []named{{"log", "first line\nsecond\n"}}}},
	}
}

func TestRequest(t *testing.T) {
	for name, address := range map[string]string{"over IPv4": "127.0.0.1:0", "over IPv6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			s := startAPIServer(t, address, nil)
			p := newPublication(t, s)
			if text := p.publish(t, someResults()); text != "" {
				t.Fatal(text)
			}
			want := []request{{
				method:        http.MethodPut,
				uri:           "/apis/tekton.dev/v1/namespaces/ci/taskruns/build-1/status?fieldManager=indelible-publisher",
				contentType:   "application/json",
				accept:        "application/json",
				authorization: "Bearer " + testToken,
				closes:        true,
				body: []byte(
					`{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"build-1","namespace":"ci","uid":"run-uid"},"status":{"results":[{"name":"digest","value":"sha256:d1ge57-va1ue"},{"name":"list","value":"[\"<a>&\",\"b\"]"}],` +
						`"steps":[{"name":"build","results":[{"name":"log","value":"first line\nsecond\n"}]}]}}`),
			}}
			if got := s.seen(); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v\nbody %s", got, want, got[0].body)
			}
			if len(p.logged) > 0 {
				t.Errorf("success is not silent: %q", p.logged)
			}
		})
	}
	t.Run("leaves out what there is nothing of", func(t *testing.T) {
		s := newAPIServer(t)
		if text := newPublication(t, s).publish(t, collected{Steps: someResults().Steps}); text != "" {
			t.Fatal(text)
		}
		want := `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"build-1","namespace":"ci","uid":"run-uid"},"status":{"steps":[{"name":"build","results":[{"name":"log","value":"first line\nsecond\n"}]}]}}`
		if got := string(s.seen()[0].body); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	t.Run("keeps a mebibyte of every kind of character", func(t *testing.T) {
		s := newAPIServer(t)
		var all strings.Builder
		for all.Len() < 1<<20-100 {
			all.WriteString("a<>&\"\\\u2028\u00e9\U0001F642\n\uFFFD\x7f")
		}
		if text := newPublication(t, s).publish(t, collected{Results: []named{{"large", all.String()}}}); text != "" {
			t.Fatal(text)
		}
	})
}

// TestPutAnswers: one row an answer. "again" rows answer so once, and must be tried a second time;
// "final" rows must not.
func TestPutAnswers(t *testing.T) {
	const guard = `admission webhook "guard.indelible.dev" denied the request: `
	again := map[string]http.HandlerFunc{
		"401, the token was rotated":             status(401, "Unauthorized", "Unauthorized"),
		"409, the TaskRun does not know its pod": status(409, "Conflict", guard+"podName is not stored yet, try again"),
		"429, the API server is overloaded":      status(429, "TooManyRequests", "too many requests"),
		"500, the webhook is away": status(500, "InternalError",
			`failed calling webhook "guard.indelible.dev": connection refused`),
		"502 from a load balancer":              raw(502, "<html>Bad Gateway</html>"),
		"503 without a Status":                  raw(503, "service unavailable"),
		"504, a webhook took too long":          status(504, "Timeout", "context deadline exceeded"),
		"a connection closed without an answer": hangUp,
		"an answer that breaks off":             breakOff,
	}
	for name, answer := range again {
		t.Run("tries again after "+name, func(t *testing.T) {
			s := newAPIServer(t, answer)
			p := newPublication(t, s)
			if text := p.publish(t, someResults()); text != "" {
				t.Fatal(text)
			}
			if n := len(s.seen()); n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
			if len(p.logged) != 2 || !strings.HasPrefix(p.logged[0], "cannot publish results yet: ") ||
				p.logged[1] != "results published after 2 attempts" {
				t.Errorf("logged %q", p.logged)
			}
		})
	}
	final := map[string]struct {
		answer http.HandlerFunc
		says   []string
	}{
		"301": {raw(301, "", "Location", "https://elsewhere.example/"), []string{"answered 301 Moved Permanently",
			"Redirects are not followed"}},
		"307": {raw(307, "", "Location", "/"), []string{"answered 307 Temporary Redirect"}},
		"400": {status(400, "BadRequest", "bad"), []string{"answered 400 BadRequest: bad"}},
		"403 by RBAC": {status(403, "Forbidden", `taskruns.tekton.dev "build-1" is forbidden`),
			[]string{`answered 403 Forbidden: taskruns.tekton.dev "build-1" is forbidden`,
				"needs update on taskruns/status"}},
		"403 by the guard": {status(403, "Forbidden", guard+"the TaskRun is complete"),
			[]string{"answered 403 Forbidden: " + guard + "the TaskRun is complete",
				"still running"}},
		"403, the namespace has opted out": {status(403, "Forbidden",
			"the namespace has not opted in to results from pods (label indelible.dev/results: enabled)"),
			[]string{"Put it back and run"}},
		"422, another was first": {status(422, "Invalid", guard+`result "digest" is stored and cannot be changed`),
			[]string{"Another container of this pod"}},
		"404": {status(404, "NotFound", `taskruns.tekton.dev "build-1" not found`), []string{"answered 404 NotFound",
			"was deleted"}},
		"405": {raw(405, ""), []string{"answered 405 Method Not Allowed. "}},
		"409, another TaskRun has the name": {status(409, "Conflict",
			`Operation cannot be fulfilled on taskruns.tekton.dev "build-1": StorageError: invalid object, Code: 4, Key: /x, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: a, UID in object meta: b`),
			[]string{"Precondition failed: UID", "deleted and recreated under the same name"}},
		"413 by the guard": {status(413, "RequestEntityTooLarge", guard+`result "digest" is 9 bytes, limit 8`),
			[]string{`413 RequestEntityTooLarge: ` + guard + `result "digest" is 9 bytes, limit 8`,
				"Write smaller results"}},
		"415": {status(415, "UnsupportedMediaType", "no"), []string{"answered 415 UnsupportedMediaType"}},
		"422": {status(422, "Invalid", guard+`result "digest" is not declared`),
			[]string{`answered 422 Invalid: ` + guard + `result "digest" is not declared`,
				"Change what the message names"}},
		"500 by etcd's limit": {status(500, "", "etcdserver: request is too large"),
			[]string{"answered 500 Internal Server " +
				"Error: etcdserver: request is too large",
				"Write smaller results"}},
		"success without a body": {raw(200, ""), []string{"its answer (0 bytes) cannot be read as a TaskRun"}},
		"success with a result left out": {raw(200,
			`{"status":{"results":[{"name":"digest","value":"sha256:d1ge57-va1ue"}]}}`,
			"Warning", `299 - "result \"list\" is declared array, but its value is a string; Tekton drops it"`),
			[]string{`what is stored differs from the files: result "list" (12 bytes) is missing, result "log" of step "build" (18 bytes) is missing`,
				`the server warned: result "list" is declared array, but its value is a string; Tekton drops it`}},
		"an answer over the bound": {raw(200, strings.Repeat(" ", maxResponse+1)),
			[]string{"its answer is over 10485760 " +
				"bytes (10 MiB)"}},
	}
	for name, tt := range final {
		t.Run("gives up at once after "+name, func(t *testing.T) {
			s := newAPIServer(t, tt.answer)
			p := newPublication(t, s)
			text := p.publish(t, someResults())
			wantText(t, text, append(tt.says, "TaskRun ci/build-1: ", "Ended after 1 attempt in 0s.",
				`To publish: 49 bytes in all, the largest: result "digest" is 19 bytes; limits: `)...)
			if n := len(s.seen()); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
			if len(p.logged) > 0 || len(p.time.waited) > 0 {
				t.Errorf("logged %q, waited %v", p.logged, p.time.waited)
			}
		})
	}
}

func TestPatchNamesSizes(t *testing.T) {
	s := newAPIServer(t, status(403, "Forbidden", "no"))
	text := newPublication(t, s).publish(t, collected{
		Results: []named{{"a", "12345"}},
		Steps:   []stepResults{{"build", []named{{"b", strings.Repeat("x", 2048)}}}},
	})
	want := "TaskRun ci/build-1: the API server answered 403 Forbidden: no. " +
		`To publish: 2053 bytes (2 KiB) in all, the largest: result "b" of step "build" is 2048 bytes (2 KiB); ` +
		"limits: 1048576 bytes (1 MiB) for one result, 1310720 bytes (1.25 MiB) for one TaskRun. Ended after 1 attempt in " +
		"0s. " +
		"Check that the TaskRun was still running, and that Indelible's RBAC is installed: the pod's service account needs " +
		"update on taskruns/status."
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// TestPatchTooLargeEncoded: the API server reads 3 MiB and one byte, answers, and closes with the
// rest unread. The close may overtake the answer, which is then an attempt without one; a later
// attempt gets it.
func TestPatchTooLargeEncoded(t *testing.T) {
	const limit = 3145728
	answer := func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, io.LimitReader(r.Body, limit+1))
		if n <= limit {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.Body = http.NoBody
		status(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")(w, r)
	}
	s := newAPIServer(t, slices.Repeat([]http.HandlerFunc{answer}, 20)...)
	p := newPublication(t, s)
	text := p.publish(t, collected{Results: []named{{"bells", strings.Repeat("\a", 1<<20)}}})
	// Each byte is \u0007 in JSON, and the rest of the sparse object has 161 more.
	wantText(t, text, "413 RequestEntityTooLarge: Request entity too large: limit is 3145728",
		"the encoded request is "+result.Size(6<<20+161).String(), `result "bells" is 1048576 bytes (1 MiB)`, "base64",
		"Ended after ")
}

func TestPatchBackoff(t *testing.T) {
	t.Run("doubles from 100 ms to 5 s, jittered, and ends at the bound", func(t *testing.T) {
		s := newAPIServer(t,
			slices.Repeat([]http.HandlerFunc{status(503, "ServiceUnavailable", "no endpoints")}, 100)...)
		p := newPublication(t, s)
		text := p.publish(t, someResults())
		// Half of each pause is fixed, the other half is multiplied with the random number, here
		// 0.5.
		want := []time.Duration{75, 150, 300, 600, 1200, 2400}
		for i := range want {
			want[i] *= time.Millisecond
			if p.time.waited[i] != want[i] {
				t.Errorf("pause %d is %s, want %s", i, p.time.waited[i], want[i])
			}
		}
		var sum time.Duration
		for i, d := range p.time.waited {
			sum += d
			if last := i == len(p.time.waited)-1; i >= len(want) && !last && d != 3750*time.Millisecond {
				t.Errorf("pause %d is %s, want 3.75s", i, d)
			}
		}
		if sum != 2*time.Minute-time.Second {
			t.Errorf("waited %s in all, want the timeout less the last attempt's second", sum)
		}
		wantText(t, text, "answered 503 ServiceUnavailable: no endpoints", "indelible-webhook",
			fmt.Sprintf("Gave up after %d attempts in 1m59s, at the end of the publishing timeout of 2m0s.",
				len(p.time.waited)+
					1))
		if len(p.logged) != 1 {
			t.Errorf("logged %q, want one line for one state", p.logged)
		}
	})
	t.Run("logs a line for each change of state", func(t *testing.T) {
		s := newAPIServer(t, status(503, "", "a"), status(503, "", "b"), status(409, "", "c"), hangUp, hangUp,
			status(409, "",
				"d"))
		p := newPublication(t, s)
		if text := p.publish(t, someResults()); text != "" {
			t.Fatal(text)
		}
		if len(p.logged) != 5 {
			t.Fatalf("logged %d lines: %q", len(p.logged), p.logged)
		}
		for i, want := range []string{"503", "409", "could not be asked", "409", "after 7 attempts"} {
			wantText(t, p.logged[i], want)
		}
	})
	for name, tt := range map[string]struct {
		header string
		want   time.Duration
	}{
		"takes Retry-After in seconds":           {"7", 7 * time.Second},
		"takes its own pause when that is later": {"0", 75 * time.Millisecond},
		"takes no nonsense":                      {"soon", 75 * time.Millisecond},
		"takes no more than the bound":           {"86400", 2*time.Minute - time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t, status(429, "TooManyRequests", "slow down", "Retry-After", tt.header))
			p := newPublication(t, s)
			if text := p.publish(t, someResults()); text != "" {
				t.Fatal(text)
			}
			if !slices.Equal(p.time.waited, []time.Duration{tt.want}) {
				t.Errorf("waited %v, want %s", p.time.waited, tt.want)
			}
		})
	}
	t.Run("sends nothing when the grace period is over", func(t *testing.T) {
		s := newAPIServer(t)
		p := newPublication(t, s)
		p.bound.stop()
		p.time.t = p.time.t.Add(29 * time.Second)
		text := p.publish(t, someResults())
		wantText(t, text, "no time was left to publish",
			"Gave up after 0 attempts in 0s, at the end of the pod's grace period of 30s.",
			"terminationGracePeriodSeconds")
		if n := len(s.seen()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}
