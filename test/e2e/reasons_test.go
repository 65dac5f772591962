//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/indelible-ci/indelible/pkg/result"
)

// TestReasons makes TaskRuns fail because of a result, in every possible way, and looks at them as
// their author does: `kubectl describe taskrun` names the result, the size and the limit or the
// rule, and one event says so. The value is not shown. Scripts write values that are not in their
// own text.
func TestReasons(t *testing.T) {
	t.Parallel()
	const (
		middle   = "4242 4243 4244" // of any large sample
		one, all = "the limit of 1048576 bytes (1 MiB) for one result",
			"the limit of 1310720 bytes (1.25 MiB) for one TaskRun"
		large   = 1<<20 + 1
		largeIs = "is 1048577 bytes (1 MiB)"
		steps   = "apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {name: run}\nspec:\n  taskSpec:\n    results:\n   " +
			" - {name: big}\n    steps:\n"
		failsFirst = steps +
			"    - {name: fails, image: IMAGE, script: '%s; exit 3'}\n    - {name: never, image: IMAGE, " +
			"script: 'true'}\n"
		timesOut   = steps + "    - {name: slow, image: IMAGE, timeout: 3s, script: '%s; exec sleep 3600'}\n"
		stepResult = `
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    steps:
    - name: build
      image: IMAGE
      results: [{name: sbom}]
      script: %s
`
	)
	sampleTo := func(path string) string { return fmt.Sprintf("seq 200000 | head -c %d > %s", large, path) }
	for _, c := range []struct {
		name, yaml string
		while      func(p *place, pod string) // while the step waits for its release
		want       []string
		secret     string
		plain      bool // Tekton's own failure, which needs no event of ours
	}{
		{name: "a result over its limit", yaml: taskRunOf("- {name: small}\n- {name: big}",
			"printf hello > $(results.small.path)\n"+writeSample(large, "big")),
			want: []string{
				`"step-write" exited with code 74`, `result "big" ` + largeIs, one, "Write smaller results",
			},
			secret: middle},
		{name: "results over their limit together",
			yaml: taskRunOf("- {name: left}\n- {name: right}",
				writeSample(700_000, "left")+"\n"+writeSample(700_001, "right")),
			want: []string{"all results together are 1400001 bytes", all, `result "left" is 700000 bytes`,
				`result "right" is 700001 bytes`}, secret: middle},
		{name: "an object over its limit, as JSON writes two bytes for a quote",
			yaml: taskRunOf("- {name: quotes}", `head -c 740000 /dev/zero | tr '\0' '"' > $(results.quotes.path)`),
			want: []string{"413", "guard.indelible.dev", "the limit is 1468416 bytes (1.4 MiB)", `result "quotes"`,
				"740000 bytes"}, secret: `""""`},
		{name: "a step result over its limit", yaml: fmt.Sprintf(stepResult, sampleTo("$(step.results.sbom.path)")),
			want: []string{`result "sbom" of step "build" ` + largeIs, one}, secret: "4242\n4243"},
		{name: "content that is not UTF-8", yaml: taskRunOf("- {name: text}",
			`printf 'secr%s\377' et > $(results.text.path)`),
			want: []string{`result "text" is not valid UTF-8 at byte 6 of 7 bytes`, "base64"}, secret: "secret"},
		{name: "text where an array is declared",
			yaml:   taskRunOf("- {name: list, type: array}", `printf 'secr%s' et > $(results.list.path)`),
			want:   []string{`result "list"`, "is declared array", "an array is a JSON list of strings"},
			secret: "secret"},
		{name: "an array of numbers", yaml: taskRunOf("- {name: list, type: array}",
			`printf '[123%s]' 456 > $(results.list.path)`),
			want:   []string{`result "list"`, "is declared array", "an array is a JSON list of strings"},
			secret: "123456"},
		{name: "an array that breaks off", yaml: taskRunOf("- {name: list, type: array}",
			`printf '["secr%s",' et > $(results.list.path)`),
			want:   []string{`result "list"`, "is declared array", "an array is a JSON list of strings"},
			secret: "secret"},
		{name: "an object that lacks a key", yaml: taskRunOf("- {name: image, type: object, properties: {url: {type: "+
			"string}, digest: {type: string}}}", `printf '{"url":"example.test/app"}' > $(results.image.path)`),
			want: []string{"missing keys", "image", "digest"}, plain: true},
		{name: "a folder in the place of a file", yaml: taskRunOf("- {name: text}", `mkdir $(results.text.path)`),
			want: []string{`result "text" cannot be read`, "a directory, not a regular file"}},
		{name: "another value that was written first", yaml: waiting(`printf 'secr%s' et > $(results.text.path)`),
			while: func(p *place, pod string) { publishAs(p, pod, "another") },
			want:  []string{`result "text"`, "cannot be changed", "Another container of this pod"}, secret: "secret"},
		{name: "a result over its limit, of a step that failed",
			yaml: taskRunOf("- {name: big}", writeSample(large, "big")+"\nexit 5"),
			want: []string{`"step-write" exited with code 5`, `result "big" ` + largeIs, one}, secret: middle},
		{name: "a result over its limit, and a step that failed before the last",
			yaml: fmt.Sprintf(failsFirst, sampleTo("$(results.big.path)")),
			want: []string{`"step-fails" exited with code 3`, `result "big" ` + largeIs, one}, secret: "4242\n4243"},
		{name: "a result over its limit, of a step that ran out of time",
			yaml: fmt.Sprintf(timesOut, sampleTo("$(results.big.path)")),
			want: []string{"exceeded the specified timeout", `result "big" ` + largeIs, one}, secret: "4242\n4243"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.create(c.yaml)
			if c.while != nil {
				pod := p.running("run", "step-write")
				c.while(p, pod)
				p.release(pod, "step-write")
			}
			failedWith(t, p.taskRun("run"), c.want...)
			if !c.plain {
				p.events("run", result.TerminationReasonNotPublished) // come after the fact
			}
			out := p.kubectl("describe", "taskrun", "run", "-n", p.namespace)
			wantTexts(t, out, c.want...)
			if c.secret != "" && strings.Contains(out, c.secret) {
				t.Errorf("`kubectl describe taskrun` shows the value")
			}
			if denied := eventLines(out, "ResultsWriteDenied"); len(denied) > 0 {
				t.Errorf("a second reason: %q", denied)
			}
			events := eventLines(out, result.TerminationReasonNotPublished)
			if c.plain {
				if len(events) > 0 {
					t.Errorf("events %q, want none", events)
				}
				return
			}
			if len(events) != 1 || strings.Contains(events[0], "(x") {
				t.Fatalf("events %q, want one, once", events)
			}
			wantTexts(t, events[0], c.want[1:]...)
		})
	}
}

// eventLines returns the warnings of one reason in the output of `kubectl describe`.
func eventLines(described, reason string) []string {
	_, events, _ := strings.Cut(described, "\nEvents:")
	var lines []string
	for _, line := range strings.Split(events, "\n") {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "Warning" && words[1] == reason {
			lines = append(lines, line)
		}
	}
	return lines
}

func wantTexts(t *testing.T, got string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("%q\ndoes not contain %q", got, text)
		}
	}
}

// TestDenialsAreVisible: denials cause few events, and however many there are, the reason why the
// TaskRun failed is still there, once.
func TestDenialsAreVisible(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.create(waiting(writeSample(1<<20+1, "text")))
	own := p.running("run", "step-write")
	before := denials(p)

	forger := p.podWriter(p.sleeper("forger"))
	const tries = 300
	for range tries {
		if err := p.writeAs(forger, `{"results":[{"name":"text","value":"forged-value"}]}`); err == nil {
			t.Fatal("a forged result was stored")
		}
	}
	// A step that writes a result without the publisher.
	if err := p.writeAs(p.podWriter(own), `{"results":[{"name":"IMAGE_DIGEST","value":"forged-value"}]}`); err == nil {
		t.Fatal("an undeclared result was stored")
	}
	if got := denials(p) - before; got < tries {
		t.Errorf("%d denials counted, want %d at least", got, tries)
	}
	p.release(own, "step-write")
	failedWith(t, p.taskRun("run"), "1048577")

	p.events("run", result.TerminationReasonNotPublished)
	p.events("run", "ResultsWriteDenied")
	out := p.kubectl("describe", "taskrun", "run", "-n", p.namespace)
	if lines := eventLines(out, result.TerminationReasonNotPublished); len(lines) != 1 ||
		strings.Contains(lines[0], "(x") {
		t.Errorf("events %q, want one reason of the failure", lines)
	}
	denied := strings.Join(eventLines(out, "ResultsWriteDenied"), "\n")
	wantTexts(t, denied, `user "system:serviceaccount:`+p.namespace+`:default"`, `Pod "forger"`, `rule "identity"`)
	if strings.Contains(denied, "forged-value") {
		t.Errorf("an event shows a value: %s", denied)
	}
	// 10 at most from each replica.
	if n := len(p.events("run", "ResultsWriteDenied")); n > 10*len(replicas(p)) {
		t.Errorf("%d events about %d denials", n, tries)
	}
}

// denials is how many writes all replicas have denied.
func denials(p *place) int {
	p.t.Helper()
	lines, err := cluster.WebhookMetrics(p.ctx, `indelible_guard_decisions_total{decision="denied"`)
	if err != nil {
		p.t.Fatal(err)
	}
	total := 0
	for _, line := range lines {
		n := 0
		if _, err := fmt.Sscanf(line[strings.LastIndexByte(line, ' '):], "%d", &n); err != nil {
			p.t.Fatal(err)
		}
		total += n
	}
	return total
}

// TestDryRunDenialsLeaveNoEvent: asking what would happen is no attack, and webhooks with side
// effects must not have any then (sideEffects: NoneOnDryRun).
func TestDryRunDenialsLeaveNoEvent(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.create(waiting(`printf true > $(results.text.path)`))
	own := p.running("run", "step-write")
	forger := p.podWriter(p.sleeper("forger"))
	run, err := cluster.TaskRun(p.ctx, p.namespace, "run")
	p.must(err)
	err = forger.PutSparse(p.namespace, "run", run.UID,
		`{"results":[{"name":"text","value":"forged"}]}`).Param("dryRun",
		"All").Do(p.ctx).Error()
	if err == nil || !strings.Contains(err.Error(), "guard.indelible.dev") {
		t.Errorf("dry run: got %v, want the guard's denial", err)
	}
	p.release(own, "step-write")
	taskRunSucceeded(t, p.taskRun("run"))
	// An event sent afterwards arrives afterwards.
	if err := p.writeAs(forger, `{"results":[{"name":"text","value":"forged"}]}`); err == nil {
		t.Fatal("a result was forged")
	}
	if got := p.events("run", "ResultsWriteDenied"); len(got) != 1 {
		t.Errorf("events %q, want that of the write that was no dry run", got)
	}
}
