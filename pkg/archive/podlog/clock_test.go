package podlog

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// nodeWithAClock has a kubelet whose first stream breaks after some lines. It leaves out lines from
// before sinceTime, as kubelets do, whatever their place in the log.
type nodeWithAClock struct {
	mu sync.Mutex
	nodesLog
	streams int
	// whole counts the streams after the first that were not limited to a time.
	whole int
}

type nodesLog struct {
	// lines of the log; first is how many the first stream returns.
	lines []string
	first int
	// rotated: the first line is gone when the log is read a second time; gone: the pod is, when the
	// whole log is asked for once more.
	rotated, gone bool
}

func (n *nodeWithAClock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !strings.HasSuffix(r.URL.Path, "/log") {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, testPod("p", `{"terminated":{"finishedAt":"2026-11-20T10:37:20Z"}}`))
		return
	}
	n.streams++
	if n.streams == 1 {
		_, _ = io.WriteString(w, strings.Join(n.lines[:n.first], ""))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	since, lines := time.Time{}, n.lines
	if text := r.URL.Query().Get("sinceTime"); text != "" {
		since, _ = time.Parse(time.RFC3339, text)
	} else if n.whole++; n.gone {
		http.NotFound(w, r)
		return
	}
	if n.rotated {
		lines = lines[1:]
	}
	for _, line := range lines {
		if at, _, _ := cutStamp([]byte(line)); !at.Before(since) {
			_, _ = io.WriteString(w, line)
		}
	}
}

// Nothing is lost when a node's clock is set back, or else the log is marked.
func TestTailWhenTheNodesClockIsSetBack(t *testing.T) {
	line := func(at, text string) string { return "2026-11-20T10:" + at + "Z " + text + "\n" }
	one, two, three := line("42:11.0", "one"), line("37:12.0", "two"), line("37:13.0", "three")
	for name, tt := range map[string]struct {
		log          nodesLog
		want, reason string
		whole        int
	}{
		"while the stream was broken": {nodesLog{lines: []string{one, two, three}, first: 1}, "one two three", "", 1},
		"while the stream was broken, and the pod is gone then": {
			nodesLog{lines: []string{one, two, three}, first: 1, gone: true}, "one", clockSetBack, 1},
		"while the stream was broken, and its beginning is rotated away": {
			nodesLog{lines: []string{line("42:10.0", "zero"), one, two, three}, first: 2, rotated: true}, "zero one",
			clockSetBack, 1},
		"before the stream broke": {nodesLog{lines: []string{one, two, three}, first: 2}, "one two three", "", 0},
		"within a stream that did not break": {nodesLog{lines: []string{one, two, three}, first: 3},
			"one two three", "", 0},
		"by so little that the kubelet has written lines out of order": {
			nodesLog{lines: []string{line("37:12.3", "one"), line("37:12.1", "two"), line("37:12.2", "three")}, first: 2},
			"one two three", "", 0},
		"by so little, and across a second": {
			nodesLog{lines: []string{line("37:12.01", "one"), line("37:11.9", "two"), line("37:12.2", "three")}, first: 1},
			"one two three", "", 0},
		"within a second, in which it was rotated": {
			nodesLog{lines: []string{line("37:12.3", "one"), line("37:12.1", "two"), line("37:12.2", "three")}, first: 1,
				rotated: true}, "one", clockSetBack, 1},
	} {
		for how, read := range map[string]func(*testing.T, *Follower) *Tail{"followed": followToItsEnd, "finished": finish} {
			t.Run(name+", "+how, func(t *testing.T) {
				node := &nodeWithAClock{nodesLog: tt.log}
				f := newTestFollower(t, node, t.TempDir())
				tail := read(t, f)
				got, reason := contentOf(t, tail)
				if got != strings.ReplaceAll(tt.want+" ", " ", "\n") || reason != tt.reason || node.whole != tt.whole {
					t.Errorf("got %q, %q, read once more %d times", got, reason, node.whole)
				}
				if left, _ := filepath.Glob(f.spool + "/*"); len(left) != 1 || f.spooled.Load() != tail.size {
					t.Errorf("the spool has %s, and counts %d bytes of %d", left, f.spooled.Load(), tail.size)
				}
			})
		}
	}
}

func followToItsEnd(_ *testing.T, f *Follower) *Tail {
	f.Follow("ns", testKey)
	tail := f.Tail("ns", testKey)
	<-tail.done
	return tail
}

// finish reads a log that nobody has followed, once more after an error.
func finish(t *testing.T, f *Follower) *Tail {
	t.Helper()
	tail := newTail(f, "ns", testKey)
	close(tail.done)
	if err := tail.Finish(t.Context()); err == nil {
		t.Error("the first stream did not break")
	}
	if err := tail.Finish(t.Context()); err != nil {
		t.Error(err)
	}
	return tail
}

// A line of the future is one whose node's clock may be set back: lines are asked for from when it
// was heard.
func TestSince(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 11, 20, 10, 0, second, 0, time.UTC) }
	for name, tt := range map[string]struct{ last, heard, want time.Time }{
		"a line that was heard when it was written": {at(10), at(10), at(10).Add(-unordered)},
		"a line that was heard later":               {at(10), at(50), at(10).Add(-unordered)},
		"a line of the future":                      {at(50), at(10), at(9)},
	} {
		t.Run(name, func(t *testing.T) {
			p := position{heard: tt.heard}
			p.startLine(tt.last)
			if got := p.since(); !got.Equal(tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// A process that was killed while it read a log once more leaves no file for good.
func TestFilesOfLogsReadOnceMore(t *testing.T) {
	spool := t.TempDir()
	leave(t, spool, fileOf("ns", testKey)+againSuffix, "2026-11-20T10:42:11.000000000Z one\n")
	f := newTestFollower(t, &fakeKubelet{gone: true}, spool)
	if files, _ := filepath.Glob(spool + "/*"); len(files) > 0 || f.spooled.Load() != 0 {
		t.Errorf("the spool has %s, and counts %d bytes", files, f.spooled.Load())
	}
}
