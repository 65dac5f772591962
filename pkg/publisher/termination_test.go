package publisher

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	tektonresult "github.com/tektoncd/pipeline/pkg/result"
	"github.com/tektoncd/pipeline/pkg/termination"

	"github.com/indelible-ci/indelible/pkg/result"
)

// internal is an entry of the entrypoint's own, as cmd/entrypoint makes them.
func internal(key, value string) tektonresult.RunResult {
	return tektonresult.RunResult{Key: key, Value: value, ResultType: tektonresult.InternalTektonResultType}
}

var (
	started      = internal("StartedAt", "2026-01-02T03:04:05.678Z")
	notPublished = internal("Reason", "ResultsNotPublished")
	why          = tektonresult.RunResult{Key: "indelible.dev/publish", Value: "because of <reasons> & \"more\""}
)

// TestTerminationMessage reads and writes with Tekton's own code: its writer makes the file the
// entrypoint would have left, its parser says what the controller will see (sorted by key).
func TestTerminationMessage(t *testing.T) {
	artifact := func(n int) tektonresult.RunResult {
		return tektonresult.RunResult{Key: "provenance.json", Value: strings.Repeat("x", n),
			ResultType: tektonresult.StepArtifactsResultType}
	}
	tests := map[string]struct {
		before     []tektonresult.RunResult
		compressed bool
		raw        string // instead of before
		keepReason bool
		want       []tektonresult.RunResult
	}{
		"adds to what the entrypoint wrote": {before: []tektonresult.RunResult{started},
			want: []tektonresult.RunResult{notPublished, started, why}},
		"adds to an empty file": {want: []tektonresult.RunResult{notPublished, why}},
		"adds to an empty list": {raw: "[]", want: []tektonresult.RunResult{notPublished, why}},
		"keeps an exit code that onError hides": {before: []tektonresult.RunResult{started, internal("ExitCode", "3")},
			want: []tektonresult.RunResult{internal("ExitCode",
				"3"), notPublished, started, why}},
		"keeps artifacts": {before: []tektonresult.RunResult{artifact(100), started},
			want: []tektonresult.RunResult{notPublished, started, why, artifact(100)}},
		"replaces a reason after success": {before: []tektonresult.RunResult{started, internal("Reason",
			"Skipped")}, want: []tektonresult.RunResult{notPublished, started, why}},
		"keeps Tekton's reason after a failure": {before: []tektonresult.RunResult{started, internal("Reason",
			"TimeoutExceeded")}, keepReason: true,
			want: []tektonresult.RunResult{internal("Reason", "TimeoutExceeded"), started, why}},
		"adds a reason after a failure without one": {before: []tektonresult.RunResult{started}, keepReason: true,
			want: []tektonresult.RunResult{notPublished, started, why}},
		"replaces an explanation": {before: []tektonresult.RunResult{started,
			{Key: "indelible.dev/publish", Value: "earlier"}},
			want: []tektonresult.RunResult{notPublished, started, why}},
		"reads a compressed message": {before: []tektonresult.RunResult{started, artifact(2000)},
			compressed: true, want: []tektonresult.RunResult{notPublished, started, why, artifact(2000)}},
		"drops what no longer fits, the largest first": {before: []tektonresult.RunResult{artifact(2950), started,
			{Key: "small", Value: "x"}, internal("ExitCode",
				"3"), {Key: "second", Value: strings.Repeat("x", 900)}},
			want: []tektonresult.RunResult{internal("ExitCode", "3"), notPublished, started, why,
				{Key: "second", Value: strings.Repeat("x", 900)}, {Key: "small", Value: "x"}}},
		"drops what fitted only compressed": {before: []tektonresult.RunResult{started, artifact(9000)},
			compressed: true, want: []tektonresult.RunResult{notPublished, started, why}},
		"replaces text that is no JSON": {raw: "panic: oh no",
			want: []tektonresult.RunResult{notPublished, why}},
		"replaces JSON that is no list": {raw: `{"key":"StartedAt"}`,
			want: []tektonresult.RunResult{notPublished, why}},
		"replaces a torn list": {raw: `[{"key":"StartedAt","value":"2026`,
			want: []tektonresult.RunResult{notPublished, why}},
		"leaves out what is no entry": {raw: `[null, 1, {"value":"x"}, {"key":7}, {"key":"k","value":"v","type":3}]`,
			want: []tektonresult.RunResult{notPublished, why, internal("k",
				"v")}},
		"replaces a broken compressed message": {raw: "tknz:!!!!",
			want: []tektonresult.RunResult{notPublished, why}},
		"replaces a compressed message that is cut off": {raw: "tknz:q1bKTq1UslIKLkksKk",
			want: []tektonresult.RunResult{notPublished, why}},
		"explains instead of keeping an enormous time": {before: []tektonresult.RunResult{internal("StartedAt",
			strings.Repeat("x", 4000))}, want: []tektonresult.RunResult{why}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "termination")
			before(t, path, tt.before, tt.compressed, tt.raw)
			if err := rewriteTermination(path, why.Value, tt.keepReason); err != nil {
				t.Fatal(err)
			}
			if got := controllerSees(t, path); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %s\nwant %s", brief(got), brief(tt.want))
			}
		})
	}
}

// brief prints entries for a failure, long values by their length.
func brief(entries []tektonresult.RunResult) string {
	var out strings.Builder
	for _, e := range entries {
		if len(e.Value) > 100 {
			e.Value = fmt.Sprintf("(%d bytes)", len(e.Value))
		}
		fmt.Fprintf(&out, "%d %s=%s; ", e.ResultType, e.Key, e.Value)
	}
	return out.String()
}

func before(t *testing.T, path string, entries []tektonresult.RunResult, compressed bool, raw string) {
	t.Helper()
	write := termination.WriteMessage
	if compressed {
		write = termination.WriteCompressedMessage
	}
	if entries != nil {
		if err := write(path, entries); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if is := strings.HasPrefix(string(content), compressedPrefix); is != compressed {
			t.Fatalf("the prepared file is compressed: %v, want %v", is, compressed)
		}
		return
	}
	if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
}

func controllerSees(t *testing.T, path string) []tektonresult.RunResult {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) > 4096 {
		t.Errorf("%d bytes, the kubelet reads 4096", len(content))
	}
	got, err := termination.ParseMessage(nil, string(content))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTerminationFile(t *testing.T) {
	t.Run("makes a file that is missing", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "termination")
		if err := rewriteTermination(path, why.Value, false); err != nil {
			t.Fatal(err)
		}
		if got := controllerSees(t, path); len(got) != 2 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("writes in place, as the kubelet mounts the file itself", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "termination")
		before(t, path, []tektonresult.RunResult{started, {Key: "x", Value: strings.Repeat("x", 3500)}}, false, "")
		first, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := rewriteTermination(path, why.Value, false); err != nil {
			t.Fatal(err)
		}
		second, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if !os.SameFile(first, second) {
			t.Error("another file took its place")
		}
	})
	for name, path := range map[string]string{
		"forbid a folder that is missing": "/nonexistent/termination",
		"forbid a folder":                 "/",
	} {
		t.Run(name, func(t *testing.T) {
			err := rewriteTermination(path, why.Value, false)
			if err == nil {
				t.Fatal("no error")
			}
			wantText(t, err.Error(), "termination message")
		})
	}
}

// FuzzTermination: whatever is in the file, the controller can read the outcome, and finds reason
// and explanation in it as long as the entries that must stay leave room.
func FuzzTermination(f *testing.F) {
	f.Add([]byte(`[{"key":"StartedAt","value":"2026-01-02T03:04:05.678Z","type":3}]`), "why", true)
	f.Add([]byte(`[{"key":"Reason","value":"Skipped","type":"InternalTektonResult"},{"key":"Reason"}]`), "<\u2028\x00",
		false)
	f.Add([]byte("tknz:i67OTq1UslIqS8wpTVWqjQUA"), "\xff", false)
	f.Add([]byte(`[{"key":"a","KEY":"b","value":"\u0000"},[[]]]`), "", true)
	f.Fuzz(func(t *testing.T, old []byte, explanation string, keepReason bool) {
		explanation = oneLine(cut(explanation, maxExplanation))
		out := terminationMessage(old, explanation, keepReason)
		if len(out) > maxTermination {
			t.Fatalf("%d bytes", len(out))
		}
		var entries []struct {
			Key   string          `json:"key"`
			Value json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(out, &entries); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		last := entries[len(entries)-1]
		var told string
		if err := json.Unmarshal(last.Value, &told); err != nil || last.Key != result.TerminationMessageKey ||
			told != explanation {
			t.Fatalf("the last entry is %s: %s, want %q", last.Key, last.Value, explanation)
		}
		reasons := 0
		for _, e := range entries {
			if e.Key == keyReason {
				reasons++
			}
		}
		if len(entries) > 1 && (reasons == 0 || reasons > 1 && !keepReason) {
			t.Fatalf("%d reasons in %s", reasons, out)
		}
	})
}
