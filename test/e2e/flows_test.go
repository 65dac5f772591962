//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"

	"github.com/indelible-ci/indelible/pkg/result"
)

// TestFlows runs what a pipeline author may write, with plain Tasks, and checks what Tekton then
// holds.
func TestFlows(t *testing.T) {
	t.Parallel()
	type flow struct {
		name string
		run  func(*place)
	}
	flows := []flow{
		{"a string of 4097 bytes is published", func(p *place) { stringOf(p, 4097) }},
		{"a string of 100 KB is published", func(p *place) { stringOf(p, 100_000) }},
		{"a string of 1 MiB is published", func(p *place) { stringOf(p, 1<<20) }},
		{"a string of 80 KB is used in the script of the next Task", consumedByScript},
		{"the pod of a Task without results is left alone", withoutResults},
		{"a pod without a service account token of its own publishes", withoutToken},
		{"a result over the limit fails the TaskRun and says why", overResultLimit},
		{"two results that exceed the TaskRun's limit together fail it and say why", overTaskRunLimit},
		{"a Task that writes no result succeeds as in Tekton, and nobody can write it afterwards", nothingWritten},
		{"a persistent workspace is shared with a large result beside it", workspace},
	}
	// TestCatalogue has these as well, and compares more of them, but knows one release of Tekton
	// only, and has most of them in its long form.
	catalogued := []flow{
		{"a string of 5 bytes is published", func(p *place) { stringOf(p, 5) }},
		{"a string with quotes, newlines and other scripts stays as it is", awkwardString},
		{"an array and an object with required keys are typed", typed},
		{"an object that lacks a required key fails as in Tekton", objectLacksKey},
		{"a result that is not of its declared type fails the TaskRun", wrongType},
		{"a Task result takes its value from a step result", fromStepResult},
		{"the later step's value is published", laterStepWins},
		{"results of a failed Task are used in finally", usedInFinally},
		{"a step that fails with onError continue keeps its result", onErrorContinue},
		{"a step skipped after a failure leaves earlier results published", skippedAfterFailure},
		{"a step that times out leaves its result published", stepTimeout},
		{"each attempt of a retried TaskRun publishes anew", retries},
		{"a retried TaskRun with step results alone publishes them anew", retriesStepResults},
		{"a matrix fans out and its results are aggregated", matrix},
		{"a file nobody declared is ignored", undeclaredFile},
		{"a result nobody wrote is missing as in Tekton", missingResult},
		{"an opted-out TaskRun is plain Tekton", optedOut},
	}
	if !isCatalogued(t) || !wholeCatalogue {
		flows = append(flows, catalogued...)
	}
	for _, flow := range flows {
		t.Run(flow.name, func(t *testing.T) {
			t.Parallel()
			flow.run(newPlace(t))
		})
	}
}

// renamed is what the manifest of a run named run makes, under another name.
func renamed(manifest, name string) string {
	return strings.Replace(manifest, "name: run}", "name: "+name+"}", 1)
}

// taskRunOf is a TaskRun named run with a Task of one step that writes results by a script.
func taskRunOf(results, script string) string {
	return fmt.Sprintf(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    results:
%s
    steps:
    - name: write
      image: IMAGE
      script: |
%s
`, indent(results, "    "), indent(script, "        "))
}

func indent(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n"+by)
}

// writeSample is a shell command that writes sample(n) to a result.
func writeSample(n int, name string) string {
	return fmt.Sprintf("seq 200000 | tr '\\n' ' ' | head -c %d > $(results.%s.path)", n, name)
}

func stringOf(p *place, n int) {
	p.create(fmt.Sprintf(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    results:
    - {name: text, value: $(tasks.produce.results.text)}
    tasks:
    - name: produce
      taskSpec:
        results:
        - {name: text}
        steps:
        - {name: write, image: IMAGE, script: "%s"}
`, strings.ReplaceAll(writeSample(n, "text"), `\`, `\\`)))
	pr := p.pipelineRun("run")
	pipelineRunSucceeded(p.t, pr)
	tr := p.taskRun("run-produce")
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(sample(n))})
	if len(pr.Status.Results) != 1 {
		p.t.Fatalf("the PipelineRun has %d results, want 1", len(pr.Status.Results))
	}
	wantValue(p.t, "text of the PipelineRun", pr.Status.Results[0].Value, *text(sample(n)))
}

func consumedByScript(p *place) {
	p.create(fmt.Sprintf(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    tasks:
    - name: produce
      taskSpec:
        results:
        - {name: text}
        steps:
        - {name: write, image: IMAGE, script: "%s"}
    - name: consume
      params:
      - {name: text, value: $(tasks.produce.results.text)}
      taskSpec:
        params:
        - {name: text}
        results:
        - {name: digest}
        steps:
        - name: hash
          image: IMAGE
          script: |
            printf %%s '$(params.text)' | sha256sum | cut -c1-64 | tr -d '\n' > $(results.digest.path)
`, strings.ReplaceAll(writeSample(80_000, "text"), `\`, `\\`)))
	pipelineRunSucceeded(p.t, p.pipelineRun("run"))
	sum := sha256.Sum256([]byte(sample(80_000)))
	wantResults(p.t, p.taskRun("run-consume").Status.Results,
		map[string]*pipelinev1.ResultValue{"digest": text(hex.EncodeToString(sum[:]))})
}

func awkwardString(p *place) {
	const value = "\"it's\" \\ $(not.a.variable) 💾 ünï\n\ttab\r\n[1,2]\n{}\n\n"
	p.create(taskRunOf(`- {name: text}`, `
printf '"it'"'"'s" \\ $''(not.a.variable) 💾 ünï\n\ttab\r\n[1,2]\n{}\n\n' > $(results.text.path)`))
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(value)})
}

func typed(p *place) {
	p.create(taskRunOf(`
- {name: list, type: array}
- {name: image, type: object, properties: {url: {type: string}, digest: {type: string}}}
- {name: json}`, `
printf '["one","two","th\u0072ee"]' > $(results.list.path)
printf '{"url":"example.test/app","digest":"sha256:0"}' > $(results.image.path)
printf '["a string","that looks like an array"]' > $(results.json.path)`))
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{
		"list":  pipelinev1.NewStructuredValues("one", "two", "three"),
		"image": pipelinev1.NewObject(map[string]string{"url": "example.test/app", "digest": "sha256:0"}),
		"json":  text(`["a string","that looks like an array"]`),
	})
}

func objectLacksKey(p *place) {
	p.create(taskRunOf(`- {name: image, type: object, properties: {url: {type: string}, digest: {type: string}}}`, `
printf '{"url":"example.test/app"}' > $(results.image.path)`))
	failedWith(p.t, p.taskRun("run"), "missing keys", "image", "digest")
}

func wrongType(p *place) {
	p.create(taskRunOf(`
- {name: list, type: array}
- {name: text}`, `
printf 'not an array' > $(results.list.path)
printf 'fine' > $(results.text.path)`))
	tr := p.taskRun("run")
	failedWith(p.t, tr, "list", "array")
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("fine")})
}

func fromStepResult(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    results:
    - {name: digest, value: $(steps.build.results.digest)}
    - {name: own}
    steps:
    - name: build
      image: IMAGE
      results:
      - {name: digest}
      - {name: tags, type: array}
      script: |
        printf sha256:abc > $(step.results.digest.path)
        printf '["v1","latest"]' > $(step.results.tags.path)
    - name: use
      image: IMAGE
      env:
      - {name: DIGEST, value: $(steps.build.results.digest)}
      script: |
        printf "$DIGEST" > $(results.own.path)
`)
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"digest": text("sha256:abc"),
		"own": text("sha256:abc")})
	if len(tr.Status.Steps) != 2 {
		p.t.Fatalf("the TaskRun has %d steps, want 2", len(tr.Status.Steps))
	}
	wantResults(p.t, tr.Status.Steps[0].Results, map[string]*pipelinev1.ResultValue{
		"digest": text("sha256:abc"), "tags": pipelinev1.NewStructuredValues("v1", "latest"),
	})
	wantResults(p.t, tr.Status.Steps[1].Results, nil)
}

func laterStepWins(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    results:
    - {name: text}
    steps:
    - {name: first, image: IMAGE, script: "printf early > $(results.text.path)"}
    - {name: second, image: IMAGE, script: "printf late > $(results.text.path)"}
`)
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("late")})
}

func usedInFinally(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    tasks:
    - name: fail
      taskSpec:
        results:
        - {name: why}
        steps:
        - name: write
          image: IMAGE
          script: |
            printf 'out of cheese' > $(results.why.path)
            exit 3
    finally:
    - name: report
      params:
      - {name: why, value: $(tasks.fail.results.why)}
      taskSpec:
        params:
        - {name: why}
        results:
        - {name: said}
        steps:
        - {name: say, image: IMAGE, script: "printf '$(params.why)' > $(results.said.path)"}
`)
	pr := p.pipelineRun("run")
	if !pr.Status.GetCondition(apis.ConditionSucceeded).IsFalse() {
		p.t.Error("the PipelineRun succeeded although a Task failed")
	}
	failed := p.taskRun("run-fail")
	failedWith(p.t, failed, `"step-write" exited with code 3`)
	wantResults(p.t, failed.Status.Results, map[string]*pipelinev1.ResultValue{"why": text("out of cheese")})
	wantResults(p.t, p.taskRun("run-report").Status.Results,
		map[string]*pipelinev1.ResultValue{"said": text("out of cheese")})
}

func onErrorContinue(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    results:
    - {name: first}
    - {name: last}
    steps:
    - name: fails
      image: IMAGE
      onError: continue
      script: |
        printf one > $(results.first.path)
        exit 5
    - name: fails-last
      image: IMAGE
      onError: continue
      script: |
        printf two > $(results.last.path)
        exit 6
`)
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"first": text("one"), "last": text("two")})
	for i, want := range []int32{5, 6} {
		if got := tr.Status.Steps[i].Terminated.ExitCode; got != want {
			p.t.Errorf("step %s: exit code %d, want %d", tr.Status.Steps[i].Name, got, want)
		}
	}
}

func skippedAfterFailure(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    results:
    - {name: text}
    steps:
    - name: fails
      image: IMAGE
      script: |
        printf kept > $(results.text.path)
        exit 7
    - {name: never, image: IMAGE, script: "printf overwritten > $(results.text.path)"}
`)
	tr := p.taskRun("run")
	failedWith(p.t, tr, `"step-fails" exited with code 7`)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("kept")})
	if got := tr.Status.Steps[1].TerminationReason; got != "Skipped" {
		p.t.Errorf("step never: terminationReason %q, want Skipped", got)
	}
}

func stepTimeout(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    results:
    - {name: text}
    steps:
    - name: slow
      image: IMAGE
      timeout: 2s
      script: |
        printf partial > $(results.text.path)
        exec sleep 3600
`)
	tr := p.taskRun("run")
	failedWith(p.t, tr, "exceeded the specified timeout")
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("partial")})
}

func retries(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  retries: 2
  taskSpec:
    results:
    - {name: attempt}
    steps:
    - name: write
      image: IMAGE
      script: |
        printf '$(context.task.retry-count)' > $(results.attempt.path)
        test '$(context.task.retry-count)' = 1
`)
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"attempt": text("1")})
	if len(tr.Status.RetriesStatus) != 1 {
		p.t.Fatalf("the TaskRun was retried %d times, want once", len(tr.Status.RetriesStatus))
	}
	wantResults(p.t, tr.Status.RetriesStatus[0].Results, map[string]*pipelinev1.ResultValue{"attempt": text("0")})
}

func retriesStepResults(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  retries: 1
  taskSpec:
    steps:
    - name: write
      image: IMAGE
      results:
      - {name: attempt}
      script: |
        printf '$(context.task.retry-count)' > $(step.results.attempt.path)
        test '$(context.task.retry-count)' = 1
`)
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Steps[0].Results, map[string]*pipelinev1.ResultValue{"attempt": text("1")})
	if len(tr.Status.RetriesStatus) != 1 {
		p.t.Fatalf("the TaskRun was retried %d times, want once", len(tr.Status.RetriesStatus))
	}
}

func matrix(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    results:
    - {name: joined, value: $(tasks.join.results.joined)}
    tasks:
    - name: fan
      matrix:
        params:
        - {name: letter, value: [a, b, c]}
      taskSpec:
        params:
        - {name: letter}
        results:
        - {name: word, type: string}
        steps:
        - {name: write, image: IMAGE, script: "printf 'word-$(params.letter)' > $(results.word.path)"}
    - name: join
      params:
      - {name: words, value: ["$(tasks.fan.results.word[*])"]}
      taskSpec:
        params:
        - {name: words, type: array}
        results:
        - {name: joined}
        steps:
        - name: join
          image: IMAGE
          args: ["$(params.words[*])"]
          script: |
            #!/bin/sh
            printf '%s|' "$@" > $(results.joined.path)
`)
	pr := p.pipelineRun("run")
	pipelineRunSucceeded(p.t, pr)
	wantValue(p.t, "joined", pr.Status.Results[0].Value, *text("word-a|word-b|word-c|"))
}

func withoutResults(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    steps:
    - {name: one, image: IMAGE, script: "true"}
`)
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantUntouched(p, tr.Status.PodName)
}

// wantUntouched checks that nothing of Indelible's is in a pod.
func wantUntouched(p *place, name string) {
	p.t.Helper()
	pod := p.pod(name)
	pod.Spec.NodeName = "" // which may be called anything
	spec, err := pod.Spec.Marshal()
	if err != nil {
		p.t.Fatal(err)
	}
	if strings.Contains(string(spec), "indelible") || pod.Annotations[result.InjectedAnnotation] != "" {
		p.t.Error("something of Indelible's is in the pod")
	}
}

func withoutToken(p *place) {
	p.create(strings.Replace(taskRunOf(`- {name: text}`, `
test ! -e /var/run/secrets/kubernetes.io/serviceaccount/token
printf hello > $(results.text.path)`), "spec:\n", "spec:\n  podTemplate: {automountServiceAccountToken: false}\n", 1))
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("hello")})
	wantInjected(p, tr.Status.PodName)
}

// wantInjected checks that a pod published by itself, not through Tekton's termination message.
func wantInjected(p *place, name string) {
	p.t.Helper()
	if p.pod(name).Annotations[result.InjectedAnnotation] == "" {
		p.t.Error("the pod has no publisher")
	}
}

func undeclaredFile(p *place) {
	p.create(taskRunOf(`- {name: text}`, `
printf hello > $(results.text.path)
printf forged > /tekton/results/IMAGE_DIGEST
mkdir /tekton/results/folder`))
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("hello")})
}

func missingResult(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    tasks:
    - name: produce
      taskSpec:
        results:
        - {name: text}
        - {name: missing}
        steps:
        - {name: write, image: IMAGE, script: "printf hello > $(results.text.path)"}
    - name: consume
      params:
      - {name: missing, value: $(tasks.produce.results.missing)}
      taskSpec:
        params:
        - {name: missing}
        steps:
        - {name: say, image: IMAGE, script: "echo $(params.missing)"}
`)
	pr := p.pipelineRun("run")
	condition := pr.Status.GetCondition(apis.ConditionSucceeded)
	// Tekton 1.9 says less than 1.15.
	says := strings.Contains(condition.Message, `did not emit the result "missing"`) ||
		strings.Contains(condition.Message, "Failed Validation: 1")
	if !condition.IsFalse() || !says {
		p.t.Errorf("the PipelineRun ended with %s: %s, want Tekton's complaint about the missing result",
			condition.Status,
			condition.Message)
	}
	tr := p.taskRun("run-produce")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("hello")})
}

// The sidecar has the pod's token and waits for the end of the steps: nothing would compare what it
// publishes then with files.
func nothingWritten(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    results: [{name: text}]
    sidecars: [{name: late, image: IMAGE, script: "sleep 3600"}]
    steps: [{name: write, image: IMAGE, script: "true"}]
`)
	tr, err := cluster.WaitTaskRun(p.ctx, p.namespace, "run",
		func(tr *pipelinev1.TaskRun) bool { return tr.Status.Annotations[result.PublishedAnnotation] != "" })
	p.must(err)
	if err := p.writeAs(p.podWriter(tr.Status.PodName), `{"results":[{"name":"text","value":"x"}]}`); err == nil ||
		!strings.Contains(err.Error(), "may not add any") && !strings.Contains(err.Error(), "is finished") {
		p.t.Errorf("a late result: %v, want a denial", err)
	}
	tr = p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	pod := p.pod(tr.Status.PodName)
	if tr.Status.Annotations[result.PublishedAnnotation] != string(pod.UID) || len(tr.Status.Results) > 0 {
		p.t.Errorf("annotations %v, results %v", tr.Status.Annotations, tr.Status.Results)
	}
}

func overResultLimit(p *place) {
	p.create(taskRunOf(`
- {name: small}
- {name: big}`, `
printf hello > $(results.small.path)
`+writeSample(1<<20+1, "big")))
	tr := p.taskRun("run")
	failedWith(p.t, tr, "big", strconv.Itoa(1<<20+1), strconv.Itoa(1<<20), "limit")
	wantExplained(p, tr, "big", strconv.Itoa(1<<20+1), strconv.Itoa(1<<20))
}

func overTaskRunLimit(p *place) {
	p.create(taskRunOf(`
- {name: left}
- {name: right}`, writeSample(700_000, "left")+"\n"+writeSample(700_001, "right")))
	tr := p.taskRun("run")
	failedWith(p.t, tr, "left", "right", "1400001", strconv.Itoa(5<<18), "limit")
	wantExplained(p, tr, "1400001", strconv.Itoa(5<<18))
}

// wantExplained checks that a step that could not publish says so in its own state, and that one
// event on the TaskRun does.
func wantExplained(p *place, tr *pipelinev1.TaskRun, texts ...string) {
	p.t.Helper()
	last := tr.Status.Steps[len(tr.Status.Steps)-1]
	if last.TerminationReason != result.TerminationReasonNotPublished {
		p.t.Errorf("step %s: terminationReason %q, want %q", last.Name, last.TerminationReason,
			result.TerminationReasonNotPublished)
	}
	if last.Terminated.ExitCode != result.ExitNotPublished {
		p.t.Errorf("step %s: exit code %d, want %d", last.Name, last.Terminated.ExitCode, result.ExitNotPublished)
	}
	events := p.events("run", result.TerminationReasonNotPublished)
	if len(events) != 1 {
		p.t.Fatalf("the TaskRun has %d events of reason %s, want 1: %q", len(events),
			result.TerminationReasonNotPublished,
			events)
	}
	for _, text := range texts {
		if !strings.Contains(events[0], text) {
			p.t.Errorf("the event %q does not contain %q", events[0], text)
		}
	}
}

func optedOut(p *place) {
	p.create(strings.Replace(taskRunOf(`- {name: text}`, `printf hello > $(results.text.path)`),
		"{name: run}", fmt.Sprintf("{name: run, annotations: {%s: %s}}", result.EnabledKey, result.Disabled), 1))
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("hello")})
	if p.pod(tr.Status.PodName).Annotations[result.InjectedAnnotation] != "" {
		p.t.Error("the pod has a publisher although its TaskRun opted out")
	}
}

func workspace(p *place) {
	p.create(fmt.Sprintf(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  workspaces:
  - name: shared
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: 10Mi}}
  pipelineSpec:
    workspaces: [{name: shared}]
    tasks:
    - name: produce
      workspaces: [{name: shared}]
      taskSpec:
        workspaces: [{name: shared}]
        results: [{name: text}]
        steps:
        - name: write
          image: IMAGE
          script: |
            %s
            cp $(results.text.path) $(workspaces.shared.path)/copy
    - name: compare
      runAfter: [produce]
      workspaces: [{name: shared}]
      params:
      - {name: text, value: $(tasks.produce.results.text)}
      taskSpec:
        workspaces: [{name: shared}]
        params: [{name: text}]
        steps:
        - name: compare
          image: IMAGE
          script: |
            printf %%s '$(params.text)' | cmp - $(workspaces.shared.path)/copy
`, writeSample(50_000, "text")))
	pipelineRunSucceeded(p.t, p.pipelineRun("run"))
}
