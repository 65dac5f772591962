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

// TestConsuming uses large results in the next Task by every route. TestLargeResultsTable checks
// the limit of each.
func TestConsuming(t *testing.T) {
	t.Parallel()
	flows := []struct {
		name string
		run  func(*place)
	}{
		{"64 KB are used in a script", func(p *place) { used(p, 64_000, byScript, "") }},
		{"200 KB are used in a script", func(p *place) { used(p, 200_000, byScript, result.ScriptsSplit) }},
		{"500 KB are used in a script", func(p *place) { used(p, 500_000, byScript, result.ScriptsSplit) }},
		{"two values of 200 KB are used in one script", twoValues},
		{"a sidecar's script beside a long one stays what it is", sidecarScript},
		{"a pod that may not run as root uses 200 KB in a script", unprivileged},
		{"120 KB are used in env", func(p *place) { used(p, 120_000, byEnv, "") }},
		{"an array of 300 KB is used in args, an element each", arrayInArgs},
		{"140 KB in env are refused at once", func(p *place) {
			refusedAtOnce(p, byEnv,
				`step "use": environment variable "TEXT" has 140005 bytes (136.72 KiB) with its name`)
		}},
		{"140 KB in args are refused at once", func(p *place) {
			refusedAtOnce(p, byArgument, `step "use": argument 4 has 140000 bytes (136.72 KiB)`)
		}},
		{"a refused Task is tried again as often as it asks for, and no more", refusedWithRetries},
		{"a Task that needs larger results than there may be is refused at once", sizeOverLimit},
		{"a Task that needs large results but opted out is refused at once", sizeOptedOut},
		{"a Task whose size cannot be read is refused at once", sizeMisspelt},
		{"a Task that needs what there is, runs", sizeAvailable},
		{"a pod that opted out says so", optOutVisible},
	}
	for _, flow := range flows {
		t.Run(flow.name, func(t *testing.T) {
			t.Parallel()
			flow.run(newPlace(t))
		})
	}
}

// consumer is a PipelineRun named run. Its Task produce writes sample(n) to the result text, its
// Task consume gets it as the parameter text; what else the latter is made of is given as YAML.
func consumer(n int, consume string) string {
	return fmt.Sprintf(`
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
%s
`, strings.ReplaceAll(writeSample(n, "text"), `\`, `\\`), indent(consume, "        "))
}

// Each writes to the result seen how many bytes the value has and their digest.
const (
	byScript = `
results: [{name: seen}]
steps:
- name: use
  image: IMAGE
  script: |
    printf %s "$(cat << 'END'
    $(params.text)
    END
    )" > /tekton/home/value
    ` + writeSeen
	byEnv = `
results: [{name: seen}]
steps:
- name: use
  image: IMAGE
  env: [{name: TEXT, value: $(params.text)}]
  script: |
    printf %s "$TEXT" > /tekton/home/value
    ` + writeSeen
	byArgument = `
results: [{name: seen}]
steps:
- name: use
  image: IMAGE
  command: [sh, -c]
  args:
  - |
    printf %s "$1" > /tekton/home/value
    ` + writeSeen + `
  - sh
  - $(params.text)`
	writeSeen = `printf '%s %s' $(wc -c < /tekton/home/value) $(sha256sum < /tekton/home/value | cut -c1-64) > $(results.seen.path)`
)

// seen is what writeSeen writes of a value.
func seen(value string) string {
	sum := sha256.Sum256([]byte(value))
	return strconv.Itoa(len(value)) + " " + hex.EncodeToString(sum[:])
}

// used runs a consumer and compares the value it has seen. An annotation of its pod says how its
// scripts were passed.
func used(p *place, n int, consume, scripts string) {
	p.create(consumer(n, consume))
	pipelineRunSucceeded(p.t, p.pipelineRun("run"))
	tr := p.taskRun("run-consume")
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"seen": text(seen(sample(n)))})
	if got := p.pod(tr.Status.PodName).Annotations[result.ScriptsAnnotation]; got != scripts {
		p.t.Errorf("the pod's annotation %s is %q, want %q", result.ScriptsAnnotation, got, scripts)
	}
}

func twoValues(p *place) {
	p.create(fmt.Sprintf(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    tasks:
    - name: produce
      taskSpec:
        results: [{name: one}, {name: two}]
        steps:
        - name: write
          image: IMAGE
          script: |
            %s
            %s
    - name: consume
      params:
      - {name: one, value: $(tasks.produce.results.one)}
      - {name: two, value: $(tasks.produce.results.two)}
      taskSpec:
        params: [{name: one}, {name: two}]
        results: [{name: seen}]
        steps:
        - name: use
          image: IMAGE
          script: |
            printf '%%s' '$(params.one)$(params.two)' > /tekton/home/value
            %s
`, writeSample(200_000, "one"), writeSample(199_999, "two"), writeSeen))
	pipelineRunSucceeded(p.t, p.pipelineRun("run"))
	want := seen(sample(200_000) + sample(199_999))
	wantResults(p.t, p.taskRun("run-consume").Status.Results, map[string]*pipelinev1.ResultValue{"seen": text(want)})
}

// sidecarScript: a sidecar's script is in the same string as the steps'.
func sidecarScript(p *place) {
	p.create(taskRunWith("timeout: 2m", `
params: [{name: text, default: "`+sample(150_000)+`"}]
results: [{name: seen}, {name: sidecar}]
steps:
- name: use
  image: IMAGE
  script: |
    printf %s '$(params.text)' > /tekton/home/value
    `+writeSeen+`
    until [ -e /workspace/said ]; do sleep 0.1; done
    cat /workspace/said > $(results.sidecar.path)
sidecars:
- {name: say, image: IMAGE, script: "printf hello > /workspace/saying && mv /workspace/saying /workspace/said && sleep 1000", volumeMounts: [{name: shared, mountPath: /workspace}]}
stepTemplate:
  volumeMounts: [{name: shared, mountPath: /workspace}]
volumes: [{name: shared, emptyDir: {}}]`))
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{
		"seen": text(seen(sample(150_000))), "sidecar": text("hello"),
	})
}

func unprivileged(p *place) {
	p.create(taskRunWith("podTemplate: {securityContext: {runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532}}", `
params: [{name: text, default: "`+sample(200_000)+`"}]
results: [{name: seen}]
steps:
- name: use
  image: IMAGE
  script: |
    printf %s '$(params.text)' > /tekton/home/value
    `+writeSeen))
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"seen": text(seen(sample(200_000)))})
}

// taskRunWith is a TaskRun named run with a line of its spec and a Task, both YAML.
func taskRunWith(spec, task string) string {
	return "apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {name: run}\nspec:\n  " + spec + "\n  taskSpec:\n" +
		indent(task, "    ")
}

func arrayInArgs(p *place) {
	p.create(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: run}
spec:
  pipelineSpec:
    tasks:
    - name: produce
      taskSpec:
        results: [{name: list, type: array}]
        steps:
        - name: write
          image: IMAGE
          script: |
            seq 200000 | tr '\n' ' ' | head -c 100000 > /tekton/home/one
            one=$(cat /tekton/home/one && echo .)
            printf '["%s","%s","%s"]' "${one%.}1" "${one%.}2" "${one%.}3" > $(results.list.path)
    - name: consume
      params:
      - {name: list, value: ["$(tasks.produce.results.list[*])"]}
      taskSpec:
        params: [{name: list, type: array}]
        results: [{name: seen}]
        steps:
        - name: use
          image: IMAGE
          args: ["$(params.list[*])"]
          script: |
            printf '%s|' "$@" > /tekton/home/value
            ` + writeSeen + `
`)
	pipelineRunSucceeded(p.t, p.pipelineRun("run"))
	one := sample(100_000)
	want := seen(one + "1|" + one + "2|" + one + "3|")
	wantResults(p.t, p.taskRun("run-consume").Status.Results, map[string]*pipelinev1.ResultValue{"seen": text(want)})
}

// refusedAtOnce runs a consumer of 140 KB. Its pod is never created; the condition and one event
// say why.
func refusedAtOnce(p *place, consume, why string) {
	p.create(consumer(140_000, consume))
	if pr := p.pipelineRun("run"); !pr.Status.GetCondition(apis.ConditionSucceeded).IsFalse() {
		p.t.Error("the PipelineRun did not fail")
	}
	wantRefused(p, "run-consume", why,
		"but Linux accepts at most 131071 bytes (128 KiB) in one string: use the value in a script, or pass it in a "+
			"workspace")
}

// wantRefused checks that a TaskRun has failed for good, without a pod, and that `kubectl describe`
// says why in both places.
func wantRefused(p *place, taskRun string, texts ...string) {
	p.t.Helper()
	tr := p.taskRun(taskRun)
	failedWith(p.t, tr, texts...)
	if got := tr.Status.GetCondition(apis.ConditionSucceeded).Reason; got != "PodCreationFailed" {
		p.t.Errorf("the reason is %s, want PodCreationFailed", got)
	}
	if tr.Status.PodName != "" || len(tr.Status.RetriesStatus) > 0 || tr.Status.CompletionTime == nil {
		p.t.Errorf("pod %q, %d retries, completed %v", tr.Status.PodName, len(tr.Status.RetriesStatus),
			tr.Status.CompletionTime)
	}
	// Tekton sends one, or two if it looked again before its cache had the end of the TaskRun.
	events := p.events(taskRun, "Failed")
	if len(events) > 2 {
		p.t.Errorf("%d events: %q", len(events), events)
	}
	described := strings.Join(strings.Fields(p.kubectl("describe", "taskrun", "-n", p.namespace, taskRun)), " ")
	if message := tr.Status.GetCondition(apis.ConditionSucceeded).Message; strings.Contains(message+events[0],
		sample(20)) {
		p.t.Errorf("condition or event shows a value: %q, %q", message, events[0])
	}
	for _, text := range texts {
		if !strings.Contains(events[0], text) {
			p.t.Errorf("the event %q does not contain %q", events[0], text)
		}
		if n := strings.Count(described, text); n < 2 {
			p.t.Errorf("kubectl describe shows %q %d times, want it in condition and event:\n%s", text, n, described)
		}
	}
}

func refusedWithRetries(p *place) {
	p.create(taskRunWith("retries: 1", `
steps:
- {name: use, image: IMAGE, command: [sh], args: [-c, "true", "`+sample(140_000)+`"]}`))
	tr := p.taskRun("run")
	failedWith(p.t, tr, `step "use": argument 3 has 140000 bytes`)
	if len(tr.Status.RetriesStatus) != 1 {
		p.t.Errorf("%d attempts before the last, want 1", len(tr.Status.RetriesStatus))
	}
}

// annotatedTaskRun is a TaskRun with a result and annotations.
func annotatedTaskRun(annotations string) string {
	return strings.Replace(taskRunOf(`- {name: text}`, writeSample(300_000, "text")), "{name: run}",
		"{name: run, annotations: {"+annotations+"}}", 1)
}

func sizeOverLimit(p *place) {
	p.create(annotatedTaskRun(result.ResultSizeAnnotation + ": 1.1Mi"))
	wantRefused(p, "run",
		"asks for results of 1153434 bytes (1.1 MiB), but this installation's limit is 1048576 bytes "+
			"(1 MiB)")
}

func sizeOptedOut(p *place) {
	p.create(annotatedTaskRun(result.ResultSizeAnnotation + ": 300k, " + result.EnabledKey + ": " + result.Disabled))
	wantRefused(p, "run",
		"asks for results of 300000 bytes (292.97 KiB), but this Pod's results keep Tekton's own limit "+
			"of 4096 bytes (4 KiB), "+
			"because the annotation indelible.dev/results disables it")
}

func sizeMisspelt(p *place) {
	p.create(annotatedTaskRun(result.ResultSizeAnnotation + ": 300KB"))
	wantRefused(p, "run", "annotation indelible.dev/result-size must be a size such as 800Ki or 1Mi")
}

func sizeAvailable(p *place) {
	p.create(annotatedTaskRun(result.ResultSizeAnnotation + ": 300k"))
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	wantResults(p.t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(sample(300_000))})
}

func optOutVisible(p *place) {
	p.create(strings.Replace(annotatedTaskRun(result.EnabledKey+": "+result.Disabled), "300000", "30", 1))
	tr := p.taskRun("run")
	taskRunSucceeded(p.t, tr)
	got := p.pod(tr.Status.PodName).Annotations[result.NotInjectedAnnotation]
	if want := "opted_out: the annotation indelible.dev/results disables it"; got != want {
		p.t.Errorf("the pod's annotation %s is %q, want %q", result.NotInjectedAnnotation, got, want)
	}
}
