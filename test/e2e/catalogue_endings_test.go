//go:build e2e

package e2e

import (
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// endingEntries end in the ways that a step, a Task's author or a user can cause. TestEndings
// covers what happens to the node, the pod or its processes from outside.
var endingEntries = append(exitEntries(), []entry{
	{name: "a step kills its group", yaml: lastOfTwo("kill -9 0")},
	{name: "a step that asks itself to end", yaml: lastOfTwo("kill -TERM $$; sleep 5")},
	{name: "a step that sends its parent a signal", yaml: lastOfTwo("trap 'echo got TERM; exit 9' TERM; kill -TERM " +
		"$PPID; sleep 5 & wait")},
	{name: "a step that sends the first process a signal",
		yaml: lastOfTwo("trap 'echo got USR1; exit 9' USR1; kill -USR1 1; sleep 5 & wait")},
	{name: "a command that does not exist", yaml: oneTask(twoSteps("command: [/nowhere/program]", ""))},
	{name: "a command that is no program", yaml: oneTask(twoSteps("command: [/etc/passwd]", ""))},
	{name: "a command that is looked for and not found", yaml: oneTask(twoSteps("command: [no-such-program]", ""))},
	{name: "a folder to work in that does not exist", yaml: oneTask(twoSteps("workingDir: /nowhere/at/all", "pwd"))},
	{name: "a script for a program that does not exist", yaml: lastOfTwo("#!/nowhere/sh\ntrue")},
	{name: "a first step that is out of its time", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: slow, image: IMAGE, timeout: 2s, results: [{name: own}], script: "printf own > $(step.results.own.path); printf partial > $(results.text.path); exec sleep 3600"}
- {name: never, image: IMAGE, script: "true"}`)},
	{name: "a last step that is out of its time",
		yaml: oneTask(twoSteps("timeout: 2s", "trap 'echo term; exit 4' TERM; sleep 3600 & wait"))},
	{name: "a step that is out of its time and is told to continue", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: slow, image: IMAGE, timeout: 2s, onError: continue, script: "printf partial > $(results.text.path); exec sleep 3600"}
- {name: next, image: IMAGE, script: "cat $(results.text.path)"}`)},
	{name: "a TaskRun that is out of its time",
		yaml: oneTaskWith("timeout: 45s", twoSteps("", "trap '' TERM; exec sleep 3600"))},
	{name: "a TaskRun that is out of its time before it runs",
		yaml: oneTaskWith("timeout: 10s\npodTemplate: {nodeSelector: {no: such-node}}", twoSteps("", "true"))},
	{name: "a TaskRun that is cancelled", yaml: oneTask(twoSteps("", "exec sleep 3600")), act: (*place).cancelTaskRun},
	{name: "a TaskRun that is cancelled and ends by itself when asked to",
		yaml: oneTask(twoSteps("", "trap 'exit 0' TERM; sleep 3600 & wait")), act: (*place).cancelTaskRun},
	{name: "an image that does not exist", yaml: oneTaskWith("timeout: 20s", `
results: [{name: text}]
steps:
- {name: first, image: IMAGE, script: "printf one > $(results.text.path)"}
- {name: last, image: "no-such-image:local", imagePullPolicy: Never, command: ["true"]}`)},
	{name: "every attempt fails", yaml: oneTaskWith("retries: 1", `
results: [{name: attempt}]
steps:
- {name: write, image: IMAGE, results: [{name: own}], script: "printf $(context.task.retry-count) | tee $(results.attempt.path) > $(step.results.own.path); exit 3"}
- {name: never, image: IMAGE, script: "true"}`)},
	{name: "the second attempt succeeds", yaml: oneTaskWith("retries: 2", `
results: [{name: attempt}, {name: first}]
steps:
- {name: first, image: IMAGE, script: "test $(context.task.retry-count) = 1 || printf first > $(results.first.path)"}
- {name: write, image: IMAGE, results: [{name: own}], script: "printf $(context.task.retry-count) | tee $(results.attempt.path) > $(step.results.own.path); test $(context.task.retry-count) = 1"}`)},
	{name: "an attempt is out of its time, and the next is not", yaml: oneTaskWith("retries: 1\ntimeout: 150s", `
results: [{name: attempt}]
steps:
- {name: write, image: IMAGE, script: "printf $(context.task.retry-count) > $(results.attempt.path); test $(context.task.retry-count) = 1 || exec sleep 3600"}`)},
	{name: "a PipelineRun that is cancelled", yaml: twoTasks, act: stopping("Cancelled")},
	{name: "a PipelineRun that is cancelled and runs its last Tasks", yaml: twoTasks,
		act: stopping("CancelledRunFinally")},
	{name: "a PipelineRun that is out of its time",
		yaml: onePipelineWith("timeouts: {pipeline: 4m, tasks: 90s}", waitingTasks)},
}...)

// exitEntries have a step that ends with each exit code that has a meaning, told to continue or
// not.
func exitEntries() []entry {
	var all []entry
	for _, code := range []string{"1", "74", "137", "255"} {
		all = append(all, entry{name: "a last step exits with " + code, yaml: lastOfTwo("exit " + code)})
	}
	for _, signal := range []string{"TERM", "KILL"} {
		all = append(all, entry{name: "a last step is ended by its own " + signal,
			yaml: lastOfTwo("kill -" + signal + " $$; sleep 5")})
	}
	return all
}

// twoSteps is a Task whose last step has written results before it does what is given. Further
// lines of YAML may replace its script, for example by a command.
func twoSteps(lines, script string) string {
	switch {
	case strings.HasPrefix(script, "#!"):
		lines += "\nscript: |\n" + indent(script, "  ")
	case script != "":
		lines += "\nscript: |\n" +
			indent("printf two > $(results.text.path)\nprintf own > $(step.results.own.path)\n"+script,
				"  ")
	}
	return `
results: [{name: early}, {name: text}]
steps:
- {name: first, image: IMAGE, script: "printf one > $(results.early.path)"}
- name: last
  image: IMAGE
  results: [{name: own}]
` + indent(lines, "  ")
}

func lastOfTwo(script string) string { return oneTask(twoSteps("", script)) }

// twoTasks has a Task that waits to be ended, one before it, one after it, and one in finally.
var twoTasks = onePipeline(waitingTasks)

const waitingTasks = `
results:
- {name: early, value: $(tasks.first.results.text)}
- {name: late, value: $(tasks.wait.results.text)}
tasks:
- name: first
  taskSpec:
    results: [{name: text}]
    steps: [{name: write, image: IMAGE, script: "printf first > $(results.text.path)"}]
- name: wait
  params: [{name: text, value: $(tasks.first.results.text)}]
  taskSpec:
    params: [{name: text}]
    results: [{name: text}]
    steps: [{name: write, image: IMAGE, script: "printf '$(params.text)' > $(results.text.path); exec sleep 3600"}]
- name: never
  runAfter: [wait]
  taskSpec:
    steps: [{name: say, image: IMAGE, script: "true"}]
finally:
- name: always
  params: [{name: status, value: $(tasks.wait.status)}, {name: text, value: $(tasks.first.results.text)}]
  taskSpec:
    params: [{name: status}, {name: text}]
    results: [{name: said}]
    steps: [{name: say, image: IMAGE, script: "printf '$(params.status) $(params.text)' | tee $(results.said.path)"}]
`

// cancelTaskRun cancels the entry's TaskRun when Tekton has noted that its last step runs.
func (p *place) cancelTaskRun() {
	p.t.Helper()
	p.noted()
	cancelled(p, "")
}

// stopping sets the status of the entry's PipelineRun when Tekton has noted that the step of its
// Task wait runs.
func stopping(status string) func(*place) {
	return func(p *place) {
		p.t.Helper()
		_, err := cluster.WaitTaskRun(p.ctx, p.namespace, "run-wait", func(tr *pipelinev1.TaskRun) bool {
			return len(tr.Status.Steps) == 1 && tr.Status.Steps[0].Running != nil
		})
		if err != nil {
			p.t.Fatal(err)
		}
		_, err = cluster.Tekton.TektonV1().PipelineRuns(p.namespace).Patch(p.ctx, "run", types.MergePatchType,
			[]byte(`{"spec":{"status":"`+status+`"}}`), metav1.PatchOptions{})
		if err != nil {
			p.t.Fatal(err)
		}
	}
}
