package guard

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/indelible-ci/indelible/pkg/result"
)

func TestSizes(t *testing.T) {
	value := func(n int) string { return `"` + strings.Repeat("v", n) + `"` }
	tests := []struct {
		name   string
		stored string
		limits result.Limits
		patch  string
		text   string // "" if allowed
	}{
		{name: "allow a result of exactly the limit", limits: result.Limits{Result: 100, TaskRun: 1000, Object: 10000},
			patch: `{"results":[{"name":"text","value":` + value(100) + `}]}`},
		{name: "forbid a result of one byte more, and say which, its size and the limit",
			limits: result.Limits{Result: 100, TaskRun: 1000, Object: 10000},
			patch:  `{"results":[{"name":"text","value":` + value(101) + `}]}`,
			text:   `result "text" is 101 bytes, the limit is 100 bytes`},
		{name: "forbid a result over the default limit", limits: result.DefaultLimits(),
			patch: `{"results":[{"name":"text","value":` + value(1<<20+1) + `}]}`,
			text:  `result "text" is 1048577 bytes (1 MiB), the limit is 1048576 bytes (1 MiB)`},
		{name: "count bytes and not characters", limits: result.Limits{Result: 3, TaskRun: 1000, Object: 10000},
			patch: `{"results":[{"name":"text","value":"éé"}]}`, text: `is 4 bytes, the limit is 3 bytes`},
		{name: "count the text and not its JSON", limits: result.Limits{Result: 4, TaskRun: 1000, Object: 10000},
			patch: `{"results":[{"name":"text","value":"\n\n\u0001\""}]}`},
		{
			name:   "count a list as its JSON, and not as it came",
			limits: result.Limits{Result: 100, TaskRun: 5, Object: 10000},
			patch:  `{"results":[{"name":"list","value":"[ \"a\" ]"}]}`},
		{name: "count a stored list as its JSON, brackets and all",
			stored: `{"results":[{"name":"list","type":"array","value":["a"]}]}`,
			limits: result.Limits{Result: 100, TaskRun: 10, Object: 10000},
			patch: `{"results":[{"name":"list","type":"array","value":["a"]},{"name":"text","value":` +
				value(6) + `}]}`,
			text: `results are 11 bytes together, the limit is 10 bytes`},
		{name: "forbid a step result over the limit", limits: result.Limits{Result: 100, TaskRun: 1000, Object: 10000},
			patch: `{"steps":[{"name":"sign","results":[{"name":"sig","value":` + value(101) + `}]}]}`,
			text:  `result "sig" of step "sign" is 101 bytes`},
		{name: "forbid results that exceed the TaskRun's limit together",
			limits: result.Limits{Result: 100, TaskRun: 150, Object: 10000},
			patch: `{"results":[{"name":"text","value":` + value(80) +
				`}],"steps":[{"name":"sign","results":[{"name":"sig","value":` + value(71) + `}]}]}`,
			text: `results are 151 bytes together, the limit is 150 bytes (largest added: result "text", 80 bytes)`},
		{name: "count a step result and the Task result made of it",
			limits: result.Limits{Result: 100, TaskRun: 150, Object: 10000},
			patch:  `{"steps":[{"name":"build","results":[{"name":"digest","value":` + value(76) + `}]}]}`,
			text:   `results are 152 bytes together`},
		{name: "forbid an object over its limit", limits: result.Limits{Result: 10000, TaskRun: 10000, Object: 3000},
			patch: `{"results":[{"name":"text","value":` + value(2000) + `}]}`,
			text:  `with these results, the limit is 3000 bytes (2.93 KiB)`},
		{
			name:   "say what JSON's escapes add to markup",
			limits: result.Limits{Result: 10000, TaskRun: 10000, Object: 3000},
			patch:  `{"results":[{"name":"text","value":"` + strings.Repeat(`\u003c`, 400) + `"}]}`,
			text:   `; results of 400 bytes take 2402 bytes (2.35 KiB) as stored: JSON writes <, >, & and control characters as six bytes, quotes and line ends as two`},
		{name: "allow a write that adds nothing to a run over the limit",
			stored: `{"results":[{"name":"text","type":"string","value":` + value(80) + `}]}`,
			limits: result.Limits{Result: 1, TaskRun: 1, Object: 1},
			patch: `{"results":[{"name":"text","value":` + value(80) +
				`}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := running
			if tt.stored != "" {
				stored = withStatus(t, tt.stored)
			}
			b := newBench(t).limits(tt.limits)
			resp, _ := b.guard(ownPod, stored, mergePatch(t, stored, `{"status":`+tt.patch+`}`))
			if tt.text != "" {
				b.wantDenied(resp, 413, "size", tt.text)
			} else if !resp.Allowed {
				t.Errorf("denied: %s", resp.Result.Message)
			}
		})
	}
}

// What JSON's escapes add is worth a word only where it is what makes the results too large.
func TestSizesOfWhatNeedsNoEscapes(t *testing.T) {
	b := newBench(t).limits(result.Limits{Result: 10000, TaskRun: 10000, Object: 3000})
	resp, _ := b.guard(ownPod, running, mergePatch(t, running, `{"status":{"results":[{"name":"text","value":"`+
		strings.Repeat("v", 2000)+`\n"}]}}`))
	if resp.Allowed || strings.Contains(resp.Result.Message, "as stored") {
		t.Errorf("allowed: %v, %+v", resp.Allowed, resp.Result)
	}
}

func TestNumbersOfResultsAndKeys(t *testing.T) {
	// declaring returns a TaskRun whose Task, and whose step "many", declare n results.
	declaring := func(n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf(`{"name":"r%d","type":"string"}`, i)
		}
		list := strings.Join(names, ",")
		return withStatus(t, `{"taskSpec":{"results":[`+list+`],"steps":[{"name":"many","results":[`+list+`]}]}}`)
	}
	results := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"name":"r%d","value":"v"}`, i)
		}
		return strings.Join(list, ",")
	}
	object := func(keys int) string {
		m := make(map[string]string, keys)
		for i := range keys {
			m[fmt.Sprint(i)] = "v"
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(quoteJSON(string(text)))
	}
	for _, tt := range []struct {
		name, stored, patch string
		code                int32 // 0: allowed
		rule, text          string
	}{
		{name: "allow 300 results", stored: declaring(300), patch: `{"results":[` + results(300) + `]}`},
		{name: "forbid 301 results", stored: declaring(301), patch: `{"results":[` + results(301) + `]}`, code: 413,
			rule: "size", text: "the TaskRun has 301 results, the limit is 300"},
		{name: "forbid 301 step results", stored: declaring(301), patch: `{"steps":[{"name":"many","results":[` +
			results(301) + `]}]}`, code: 413, rule: "size",
			text: "the TaskRun's steps have 301 results, the limit is 300"},
		{name: "allow an object of 2000 keys", stored: running,
			patch: `{"results":[{"name":"map","value":` + object(2000) +
				`}]}`},
		{name: "forbid an object of 2001 keys", stored: running,
			patch: `{"results":[{"name":"map","value":` + object(2001) +
				`}]}`, code: 422, rule: "type", text: `result "map": an object of 2001 keys, the limit is 2000`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			resp, _ := b.guard(ownPod, tt.stored, mergePatch(t, tt.stored, `{"status":`+tt.patch+`}`))
			if tt.code != 0 {
				b.wantDenied(resp, tt.code, tt.rule, tt.text)
			} else if !resp.Allowed {
				t.Errorf("denied: %s", resp.Result.Message)
			}
		})
	}
}

// The size of the final object is computed, not measured; it must equal that of the stored object.
func TestFinalSizeIsTheStoredObjects(t *testing.T) {
	compact := func(object string) string {
		raw, err := json.Marshal(decode(t, object))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	stored := compact(running)
	for _, patch := range []string{
		`{"results":[{"name":"text","value":"<&>\n"},{"name":"list","value":"[\"a\",\"b\"]"}]}`,
		`{"results":[{"name":"list","value":"dropped"}],"steps":[{"name":"build","results":[{"name":"digest","value":"d"}]}]}`,
	} {
		incoming := compact(mergePatch(t, stored, `{"status":`+patch+`}`))
		before, errBefore := decodeTaskRun([]byte(stored))
		after, errAfter := decodeTaskRun([]byte(incoming))
		declared, errDeclared := declarationsOf(before.status)
		if errBefore != nil || errAfter != nil || errDeclared != nil {
			t.Fatal(errBefore, errAfter, errDeclared)
		}
		m, d := merge(declared, before.status, after.status)
		if d != nil {
			t.Fatal(d.message)
		}
		_, got := newBench(t).guard(ownPod, stored, incoming)
		// The final object may have gained or lost the fields "results" and "steps", which are not
		// counted.
		if size, want := finalSize(before, m), int64(len(compact(got))); size < want-24 || size > want+24 {
			t.Errorf("computed %d bytes, %d are stored", size, want)
		}
	}
}

func TestPatchesCarryNoValueThatIsRightAlready(t *testing.T) {
	large := strings.Repeat("v", 1<<20)
	resp, _ := newBench(t).guard(ownPod, running, mergePatch(t, running,
		`{"status":{"results":[{"name":"list","value":"[\"a\"]"},{"name":"text","value":"`+large+`"}]}}`))
	const want = `[{"op":"add","path":"/status/results/0/type","value":"array"},{"op":"add","path":"/status/results/0/value","value":["a"]},` +
		`{"op":"add","path":"/status/results/1/type","value":"string"}]`
	if string(resp.Patch) != want {
		t.Errorf("patch of %d bytes: %.400s", len(resp.Patch), resp.Patch)
	}
	resp, _ = newBench(t).guard(ownPod, running, mergePatch(t, running,
		`{"status":{"steps":[{"name":"sign","results":[{"name":"sig","value":"`+large+`"}]}]}}`))
	if len(resp.Patch) == 0 || len(resp.Patch) > 1000 {
		t.Errorf("patch of %d bytes: %.400s", len(resp.Patch), resp.Patch)
	}
}

func TestMetrics(t *testing.T) {
	b := newBench(t)
	b.options = b.options.withDefaults()
	b.guard(ownPod, running,
		withStatus(t,
			`{"results":[{"name":"text","value":"four"}],"steps":[{"name":"sign","results":[{"name":"sig","value":"s"}]}]}`))
	b.guard(otherPod, running, running)
	b.guard(person, running, running)
	early := withStatus(t, `{"podName":null}`)
	b.guard(ownPod, early, mergePatch(t, early, publish))
	m := b.options.Metrics
	for _, want := range []struct {
		labels []string
		count  float64
	}{
		{[]string{"pod", "", "allowed"}, 1},
		{[]string{"pod", "identity", "denied"}, 1},
		{[]string{"pod", "identity", "deferred"}, 1},
		{[]string{"other", "", "allowed"}, 1},
		{[]string{"controller", "", "allowed"}, 0},
	} {
		if got := counted(t, m.decisions.WithLabelValues(want.labels...)); got != want.count {
			t.Errorf("decisions%v = %v, want %v", want.labels, got, want.count)
		}
	}
	var bytes dto.Metric
	if err := m.resultBytes.Write(&bytes); err != nil {
		t.Fatal(err)
	}
	if h := bytes.GetHistogram(); h.GetSampleCount() != 2 || h.GetSampleSum() != 5 {
		t.Errorf("result bytes: %v observations of %v bytes, want 2 of 5", h.GetSampleCount(), h.GetSampleSum())
	}
}
