package podlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// fakeKubelet serves pod "p" with container "step-a" like a kubelet whose streams break at given
// places. The flows of test/e2e use a real one.
type fakeKubelet struct {
	mu sync.Mutex
	// lines of the log. A stream returns those from sinceTime on, and breaks after breaks[i] bytes.
	lines  []string
	breaks []int
	// state of the container; gone: there is no pod.
	state string
	gone  bool
	// readings counts the streams.
	readings int
}

func (k *fakeKubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case k.gone:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	case !strings.HasSuffix(r.URL.Path, "/log"):
		_, _ = io.WriteString(w, testPod(path.Base(r.URL.Path), `{"`+k.state+`":{}}`))
	default:
		w.Header().Set("Content-Type", "text/plain")
		k.log(w, r.URL.Query().Get("sinceTime"))
	}
}

// testPod is a pod, with the state of its container. The run uid controls p, the run x p-x.
func testPod(name, state string) string {
	owner := "uid"
	if name != "p" {
		owner = strings.TrimPrefix(name, "p-")
	}
	return `{"kind":"Pod","apiVersion":"v1","metadata":{"namespace":"ns","name":"` + name + `","ownerReferences":[{
		"apiVersion":"tekton.dev/v1","kind":"TaskRun","name":"run","uid":"` + owner + `","controller":true}]},
		"status":{"containerStatuses":[{"name":"step-a","state":` + state + `}]}}`
}

func (k *fakeKubelet) log(w http.ResponseWriter, since string) {
	var text strings.Builder
	for _, line := range k.lines {
		if since == "" || line[:19] >= since[:19] { // whole seconds, as sinceTime has them
			text.WriteString(line)
		}
	}
	answer := text.String()
	k.readings++
	if len(k.breaks) > 0 {
		end := min(k.breaks[0], len(answer))
		k.breaks = k.breaks[1:]
		_, _ = io.WriteString(w, answer[:end])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, answer)
	if len(k.breaks) == 0 {
		k.state = "terminated"
	}
}

func newTestFollower(t *testing.T, k http.Handler, spool string) *Follower {
	t.Helper()
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	kube, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFollower(kube, spool, 2, testMetrics(), logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	f.delays = streamDelays{time.Millisecond, time.Millisecond, time.Minute, time.Minute, time.Minute}
	t.Cleanup(f.Close)
	return f
}

var testKey = Key{"uid", "p", "step-a"}

// testLines has several lines in a second, several at the same time, and one without a newline.
func testLines() (stamped []string, log string) {
	for i, text := range []string{"one\n", "two\n", "two\n", "\n", strings.Repeat("long", 20_000) + "\n", "six\n",
		"no end"} {
		at := time.Date(2026, 11, 20, 10, 42, 11+i/3, i/2*1000, time.UTC)
		stamped = append(stamped, at.Format("2006-01-02T15:04:05.000000000Z07:00")+" "+text)
		log += text
	}
	return stamped, log
}

// Wherever a stream breaks, once or twice, no line is lost or repeated.
func TestTailGoesOnWhereItBrokeOff(t *testing.T) {
	lines, want := testLines()
	whole := len(strings.Join(lines, ""))
	for _, first := range []int{0, 10, 31, 34, 35, 36, 70, 75, 100, 140, 141, 145, 200, 40_000, whole - 40, whole - 5,
		whole} {
		t.Run(fmt.Sprintf("after %d bytes", first), func(t *testing.T) {
			t.Parallel()
			k := &fakeKubelet{lines: lines, breaks: []int{first, 40}, state: "running"}
			f := newTestFollower(t, k, t.TempDir())
			if !f.Follow("ns", testKey) {
				t.Fatal("not followed")
			}
			tail := f.Tail("ns", testKey)
			<-tail.done
			if got, reason := contentOf(t, tail); got != want || reason != "" || !tail.complete {
				t.Errorf("got %d bytes %.80q, %q, complete %v; want %d", len(got), got, reason, tail.complete,
					len(want))
			}
			if k.readings != 3 {
				t.Errorf("%d readings", k.readings)
			}
		})
	}
}

// A killed process leaves a file that may end anywhere; the next process continues it.
func TestTailGoesOnAfterARestart(t *testing.T) {
	lines, want := testLines()
	whole := strings.Join(lines, "")
	for end := 0; end <= len(whole); end += 1 + end/7 {
		spool := t.TempDir()
		leave(t, spool, fileOf("ns", testKey), whole[:end])
		f := newTestFollower(t, &fakeKubelet{lines: lines, state: "terminated"}, spool)
		tail := f.Tail("ns", testKey)
		if err := tail.Finish(t.Context()); err != nil {
			t.Fatalf("after %d bytes: %v", end, err)
		}
		if got, reason := contentOf(t, tail); got != want || reason != "" {
			t.Errorf("after %d bytes: got %d %.80q, %q; want %d", end, len(got), got, reason, len(want))
		}
	}
}

// What an earlier process has read is not lost with the pod, wherever that process was killed.
func TestTailOfAnEarlierProcessWhosePodIsGone(t *testing.T) {
	lines, _ := testLines()
	whole := strings.Join(lines, "")
	for end := 1; end <= len(whole); end += 1 + end/7 {
		spool := t.TempDir()
		leave(t, spool, fileOf("ns", testKey), whole[:end])
		f := newTestFollower(t, &fakeKubelet{gone: true}, spool)
		tail := f.Tail("ns", testKey)
		if tail.Unusable() {
			t.Fatalf("after %d bytes: what there is is not used", end)
		}
		if err := tail.Prepare(); err != nil {
			t.Fatal(err)
		}
		want, left := "", end
		for _, line := range lines {
			_, text, _ := strings.Cut(line, " ")
			stamp := len(line) - len(text)
			if left >= stamp {
				want += text[:min(len(text), left-stamp)]
			}
			left = max(left-len(line), 0)
		}
		if got, reason := contentOf(t, tail); got != want || !strings.Contains(reason, "restarted") {
			t.Errorf("after %d bytes: got %d %.80q, %q; want %d %.80q", end, len(got), got, reason, len(want), want)
		}
	}
}

func TestTailOfAPodThatIsGone(t *testing.T) {
	lines, _ := testLines()
	k := &fakeKubelet{lines: lines, breaks: []int{40, 40, 40, 40, 40}, state: "running"}
	f := newTestFollower(t, k, t.TempDir())
	f.Follow("ns", testKey)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		k.mu.Lock()
		if k.gone = k.readings > 0; k.gone || time.Now().After(deadline) {
			break
		}
		k.mu.Unlock()
	}
	k.mu.Unlock()
	tail := f.Tail("ns", testKey)
	<-tail.done
	got, reason := contentOf(t, tail)
	if got != "one\n" || !strings.Contains(reason, "gone before the end") {
		t.Errorf("got %q, %q", got, reason)
	}
}

// A log that was rotated between two streams so that lines are missing is not marked complete.
func TestTailFindsGaps(t *testing.T) {
	lines, _ := testLines()
	spool := t.TempDir()
	leave(t, spool, fileOf("ns", testKey), strings.Join(lines[:2], ""))
	f := newTestFollower(t, &fakeKubelet{lines: lines[4:], state: "terminated"}, spool)
	tail := f.Tail("ns", testKey)
	if err := tail.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, reason := contentOf(t, tail); !strings.Contains(reason, "missing in the middle") {
		t.Errorf("reason %q", reason)
	}
}

// Under load kubelets remove a container some time before its pod, and return a message instead of
// its log. If the stream had ended regularly before, the log is complete; if it broke, not.
func TestTailOfARemovedContainer(t *testing.T) {
	const words = "unable to retrieve container logs for containerd://abc"
	lines, want := testLines()
	for name, test := range map[string]struct {
		breaks     bool
		finish     bool
		wantReason string
	}{
		"whole after a stream that ended":        {},
		"whole, when somebody asks for the rest": {finish: true},
		"cut off after a stream that broke":      {breaks: true, wantReason: "before the end of its log"},
		"cut off, when somebody asks for the rest of it": {breaks: true, finish: true,
			wantReason: "before the end of its log"},
	} {
		t.Run(name, func(t *testing.T) {
			var streams atomic.Int64
			removed := make(chan struct{})
			mux := http.NewServeMux()
			mux.HandleFunc("/api/v1/namespaces/ns/pods/p", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, testPod("p", `{"running":{}}`))
			})
			mux.HandleFunc("/api/v1/namespaces/ns/pods/p/log", func(w http.ResponseWriter, _ *http.Request) {
				switch n := streams.Add(1); {
				case n == 1:
					_, _ = io.WriteString(w, strings.Join(lines, ""))
					if test.breaks {
						_ = http.NewResponseController(w).Flush()
						panic(http.ErrAbortHandler)
					}
				case n == 3:
					close(removed)
					fallthrough
				case n < 6 || test.finish:
					_, _ = io.WriteString(w, words)
				default:
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusNotFound)
					fmt.Fprint(w,
						`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
				}
			})
			f := newTestFollower(t, mux, t.TempDir())
			f.Follow("ns", testKey)
			tail := f.Tail("ns", testKey)
			if test.finish {
				<-removed
				if err := tail.Finish(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			<-tail.done
			got, reason := contentOf(t, tail)
			if got != want || (reason == "") != (test.wantReason == "") || !strings.Contains(reason, test.wantReason) {
				t.Errorf("got %d bytes, %q, want %q", len(got), reason, test.wantReason)
			}
		})
	}
}

// A pod that the run does not control is not read, whatever the run's status says, and neither is
// one that takes the name of the run's own: before every stream the pod is looked at.
func TestTailOfAPodOfSomebodyElse(t *testing.T) {
	lines, _ := testLines()
	for name, tt := range map[string]struct {
		// breaks: the first stream breaks, and then the pod is replaced.
		breaks bool
		want   string
	}{
		"from the beginning":  {},
		"once it is replaced": {breaks: true, want: "one\n"},
	} {
		for how, read := range map[string]func(*Follower) *Tail{
			"followed": func(f *Follower) *Tail {
				f.Follow("ns", testKey)
				tail := f.Tail("ns", testKey)
				<-tail.done
				return tail
			},
			"finished": func(f *Follower) *Tail {
				tail := newTail(f, "ns", testKey)
				close(tail.done)
				for tail.Finish(t.Context()) != nil {
				}
				return tail
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				var asked, streams atomic.Int64
				f := newTestFollower(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch log := strings.HasSuffix(r.URL.Path, "/log"); {
					case log && streams.Add(1) == 1 && tt.breaks:
						_, _ = io.WriteString(w, lines[0])
						_ = http.NewResponseController(w).Flush()
						panic(http.ErrAbortHandler)
					case log:
						_, _ = io.WriteString(w, "2026-11-20T10:42:21.000000000Z somebody else's\n")
					case asked.Add(1) == 1 && tt.breaks:
						w.Header().Set("Content-Type", "application/json")
						_, _ = io.WriteString(w, testPod("p", `{"running":{}}`))
					default:
						w.Header().Set("Content-Type", "application/json")
						_, _ = io.WriteString(w, strings.ReplaceAll(testPod("p", `{"terminated":{}}`), `"uid":"uid"`, `"uid":"x"`))
					}
				}), t.TempDir())
				tail := read(f)
				if tail.Unusable() != (tt.want == "") || tail.Checked() != tt.breaks {
					t.Errorf("unusable %v, checked %v", tail.Unusable(), tail.Checked())
				}
				if got, reason := contentOf(t, tail); got != tt.want || reason != podDeletedEarly {
					t.Errorf("got %q, %q", got, reason)
				}
			})
		}
	}
}

// A log that is silent for long and then rotated is complete, provided it was read often enough:
// the next file follows directly. containerd cuts the line that is written meanwhile.
func TestTailAcrossARotation(t *testing.T) {
	line := func(second int, text string) string {
		return time.Date(2026, 11, 20, 10, 42, second, 0,
			time.UTC).Format("2006-01-02T15:04:05.000000000Z07:00") + " " + text
	}
	much := line(1, strings.Repeat("x", rotatable)+"\n")
	long := "one\n" + much[31:]
	const gap = "lines may be missing in the middle: the kubelet rotated the log faster than it could be read"
	for name, tt := range map[string]struct {
		// streams stay open and silent, but for the last one, and those that break.
		streams      []string
		breaks       int // the stream that breaks, from 1; 0: none
		want, reason string
	}{
		"between lines": {streams: []string{line(0, "one\n") + much, much, much, line(40, "two\n")},
			want: long + "two\n"},
		"within a line": {
			streams: []string{line(0, "one\n") + much + line(2, "tw"), much + line(2, "tw"),
				line(40, "o\n") + line(41, "three\n")},
			want: long + "two\nthree\n"},
		"within a line that ends with the log": {
			streams: []string{line(0, "one\n") + much + line(2, "tw"), line(40, "o")},
			want:    long + "two"},
		"within the only line": {
			streams: []string{line(0, strings.Repeat("x", rotatable)), line(40, "y\n")},
			want:    strings.Repeat("x", rotatable) + "y\n"},
		"twice within the same line": {
			streams: []string{line(0, "one\n") + much + line(2, "t"), line(40, "w"+strings.Repeat("w", rotatable)),
				line(60, "o\n")},
			want: long + "tw" + strings.Repeat("w", rotatable) + "o\n"},
		"within a line, after a stream that broke": {
			streams: []string{line(0, "one\n") + much + line(2, "tw"), line(40, "o\n")}, breaks: 1,
			want: long + "tw\no\n", reason: gap},
		"not at all, within a line that is repeated": {
			streams: []string{line(0, "one\n") + much + line(2, "tw"), much + line(2, "two\n")}, want: long + "two\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			state, n := "running", 0
			mux := http.NewServeMux()
			mux.HandleFunc("/api/v1/namespaces/ns/pods/p", func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, testPod("p", `{"`+state+`":{}}`))
			})
			mux.HandleFunc("/api/v1/namespaces/ns/pods/p/log", func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				stream := tt.streams[min(n, len(tt.streams)-1)]
				n++
				last, breaks := n >= len(tt.streams), n == tt.breaks
				if last {
					state = "terminated"
				}
				mu.Unlock()
				_, _ = io.WriteString(w, stream)
				_ = http.NewResponseController(w).Flush()
				switch {
				case breaks:
					panic(http.ErrAbortHandler)
				case !last:
					<-r.Context().Done()
				}
			})
			f := newTestFollower(t, mux, t.TempDir())
			f.delays.stall = 100 * time.Millisecond
			f.Follow("ns", testKey)
			tail := f.Tail("ns", testKey)
			<-tail.done
			if got, reason := contentOf(t, tail); got != tt.want || reason != tt.reason {
				t.Errorf("got %d bytes that end in %.40q, %q; want %d", len(got), got[max(0, len(got)-40):], reason, len(tt.want))
			}
		})
	}
}

func TestFollowerIsBounded(t *testing.T) {
	k := &fakeKubelet{gone: true}
	f := newTestFollower(t, k, t.TempDir())
	f.slots <- struct{}{}
	f.slots <- struct{}{}
	if f.Follow("ns", testKey) {
		t.Error("a third stream")
	}
	<-f.slots
	for range 2 {
		if !f.Follow("ns", testKey) {
			t.Error("no second stream, or the same log needs another")
		}
	}
	<-f.Tail("ns", testKey).done
	f.Forget("uid")
	for { // a goroutine removes the file
		if _, err := os.Stat(filepath.Join(f.spool, fileOf("ns", testKey))); errors.Is(err, fs.ErrNotExist) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if f.Tail("ns", testKey) != nil {
		t.Error("not forgotten")
	}
}

// Only a stream keeps its file open: a run may wait for the archive for as long as that is away.
func TestFilesOfEndedTailsAreClosed(t *testing.T) {
	lines, want := testLines()
	whole := strings.Join(lines, "")
	prepare := func(t *testing.T, f *Follower) *Tail {
		t.Helper()
		tail := f.Tail("ns", testKey)
		if err := tail.Prepare(); err != nil {
			t.Error(err)
		}
		return tail
	}
	for name, tt := range map[string]struct {
		left string
		kube *fakeKubelet
		take func(*testing.T, *Follower) *Tail
		want string
	}{
		"followed":        {"", &fakeKubelet{lines: lines, state: "terminated"}, followToItsEnd, want},
		"its pod is gone": {lines[0], &fakeKubelet{gone: true}, followToItsEnd, "one\n"},
		"left by an earlier process, whose pod is gone": {lines[0], &fakeKubelet{gone: true}, prepare, "one\n"},
		"finished after its stream broke": {"", &fakeKubelet{lines: lines, breaks: []int{50}, state: "terminated"}, finish,
			want},
		"finished after an earlier process": {whole[:100], &fakeKubelet{lines: lines, state: "terminated"},
			func(t *testing.T, f *Follower) *Tail {
				t.Helper()
				tail := prepare(t, f)
				if err := tail.Finish(t.Context()); err != nil {
					t.Error(err)
				}
				return tail
			}, want},
	} {
		t.Run(name, func(t *testing.T) {
			spool := t.TempDir()
			if tt.left != "" {
				leave(t, spool, fileOf("ns", testKey), tt.left)
			}
			f := newTestFollower(t, tt.kube, spool)
			tail := tt.take(t, f)
			if tail.file != nil {
				t.Error("the file is open")
			}
			if got, _ := contentOf(t, tail); got != tt.want {
				t.Errorf("got %d bytes, want %d", len(got), len(tt.want))
			}
		})
	}
}

func contentOf(t *testing.T, tail *Tail) (content, reason string) {
	t.Helper()
	file, reason, err := tail.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(NewUnstamped(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text), reason
}

func testMetrics() Metrics {
	return Metrics{Streams: prometheus.NewGauge(prometheus.GaugeOpts{}),
		Unfollowed: prometheus.NewCounter(prometheus.CounterOpts{})}
}
