//go:build e2e

package e2e

import (
	"fmt"
	"strings"
)

// A route is a way of a value through Tekton, with a value of any size.
type route struct {
	// yaml is created to pass a value of n bytes. The value is sample(n) if a consumer reports what
	// it has seen.
	yaml func(n int) string
	// run must end; says is the TaskRun whose condition and event name the value, if that is not
	// run.
	run, says string
	// isTaskRun is set where run is a TaskRun and no PipelineRun.
	isTaskRun bool
	// consumer is a TaskRun with the result seen, of the value.
	consumer string
	// refused is set if an object that is too large is not even created.
	refused bool
}

// routes are the rows of docs/large-results.md, by their names.
var routes = map[string]route{
	"one result": {
		yaml: func(n int) string { return taskRunOf(`- {name: text}`, writeSample(n, "text")) },
		run:  "run", isTaskRun: true,
	},
	"all results of a TaskRun": {
		yaml: func(n int) string {
			return taskRunOf("- {name: one}\n- {name: two}", writeSample(n/2, "one")+"\n"+writeSample(n-n/2, "two"))
		},
		run: "run", isTaskRun: true,
	},
	"one result of markup, `<a b=\"c\"/>`": {
		yaml: func(n int) string {
			return taskRunOf(`- {name: text}`, fmt.Sprintf(`yes '<a b="c"/>' | head -c %d > $(results.text.path)`, n))
		},
		run: "run", isTaskRun: true,
	},
	"one result, written by each of two attempts": {
		yaml: func(n int) string {
			return taskRunWith("retries: 1", `
results: [{name: text}]
steps:
- name: write
  image: IMAGE
  script: |
    `+writeSample(n, "text")+`
    test '$(context.task.retry-count)' = 1`)
		},
		run: "run", isTaskRun: true,
	},
	"all results of a Pipeline": {
		yaml: func(n int) string {
			return pipelineOf("results:\n- {name: one, value: $(tasks.one.results.text)}\n- {name: two, value: "+
				"$(tasks.two.results.text)}",
				producer("one", n/2)+producer("two", n-n/2))
		},
		run: "run",
	},
	"`script`": {
		yaml: func(n int) string { return consumer(n, byScript) },
		run:  "run", consumer: "run-consume",
	},
	"`script`, twice": {
		yaml: func(n int) string {
			return consumer(n, strings.Replace(byScript, "script: |", "script: |\n    : '$(params.text)'", 1))
		},
		run: "run", says: "run-consume", consumer: "run-consume",
	},
	"`script` of a Task that is tried again": {
		yaml: func(n int) string {
			failing := byScript + "\n    test '$(context.task.retry-count)' = 1"
			return strings.Replace(consumer(n, failing), "- name: consume", "- name: consume\n      retries: 1", 1)
		},
		run: "run", says: "run-consume", consumer: "run-consume",
	},
	"`script` of an embedded Task, `$(tasks.produce.results.text)`": {
		yaml: func(n int) string {
			return pipelineOf("", producer("produce", n)+`
- name: consume
  taskSpec:
`+indent(strings.ReplaceAll(byScript, "$(params.text)", "$(tasks.produce.results.text)"), "    "))
		},
		run: "run", consumer: "run-consume",
	},
	"`env`, named `TEXT`": {
		yaml: func(n int) string { return consumer(n, byEnv) },
		run:  "run", says: "run-consume", consumer: "run-consume",
	},
	"one of `args` or `command`": {
		yaml: func(n int) string { return consumer(n, byArgument) },
		run:  "run", says: "run-consume", consumer: "run-consume",
	},
	"a parameter no step uses": {
		yaml: func(n int) string { return consumer(n, unused) },
		run:  "run",
	},
	"`when` of three tasks and one in `finally`": {
		yaml: func(n int) string {
			when := func(name string) string {
				return "\n- name: " + name +
					"\n  when: [{input: $(tasks.produce.results.text), operator: notin, values: " +
					"[\"\"]}]\n  taskSpec:\n" + indent(unusedTask, "    ")
			}
			return pipelineOf("finally:"+when("four"), producer("produce", n)+when("one")+when("two")+when("three"))
		},
		run: "run",
	},
	"`matrix` of two": {
		yaml: func(n int) string {
			return pipelineOf("", producer("produce", n)+`
- name: consume
  matrix:
    params: [{name: part, value: [first, second]}]
  params:
  - {name: text, value: $(tasks.produce.results.text)}
  taskSpec:
    params: [{name: text}, {name: part}]
`+indent(unusedTask, "    "))
		},
		run: "run",
	},
	"three results of a `matrix` together, as one array": {
		yaml: func(n int) string {
			return pipelineOf("", `
- name: produce
  matrix:
    params: [{name: part, value: [first, second, third]}]
  taskSpec:
    params: [{name: part}]
    results: [{name: text}]
    steps:
    - {name: write, image: IMAGE, script: "`+escaped(writeSample(n/3, "text"))+`"}
- name: consume
  params:
  - {name: texts, value: ["$(tasks.produce.results.text[*])"]}
  taskSpec:
    params: [{name: texts, type: array}]
`+indent(unusedTask, "    "))
		},
		run: "run",
	},
	"a parameter of the PipelineRun itself": {
		yaml: func(n int) string {
			return strings.Replace(pipelineOf("", `
- name: consume
  params:
  - {name: text, value: $(params.text)}
  taskSpec:
    params: [{name: text}]
`+indent(unusedTask, "    ")), "spec:\n", "spec:\n  params: [{name: text, value: \""+strings.Repeat("x", n)+"\"}]\n", 1)
		},
		run: "run", refused: true,
	},
}

const unusedTask = `
steps:
- {name: use, image: IMAGE, script: "true"}`

const unused = unusedTask

// producer is a Task of a Pipeline that writes sample(n) to its result text.
func producer(name string, n int) string {
	return fmt.Sprintf(`
- name: %s
  taskSpec:
    results: [{name: text}]
    steps:
    - {name: write, image: IMAGE, script: "%s"}`, name, escaped(writeSample(n, "text")))
}

// escaped is a text as it stands in YAML's double quotes.
func escaped(text string) string { return strings.ReplaceAll(text, `\`, `\\`) }

// pipelineOf is a PipelineRun named run of tasks and other fields of its Pipeline, both YAML.
func pipelineOf(fields, tasks string) string {
	if fields != "" {
		fields = indent(fields, "    ") + "\n"
	}
	return "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: run}\nspec:\n  pipelineSpec:\n" + fields +
		"    tasks:\n" + indent(tasks, "    ")
}
