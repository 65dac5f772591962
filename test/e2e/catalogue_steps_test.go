//go:build e2e

package e2e

// stepEntries have steps that depend on one another, and on what their Task is given.
var stepEntries = []entry{
	{name: "parameters with defaults", yaml: oneTaskWith(`params: [{name: given, value: "a $b"}, {name: list, value: [x, y]}]`, `
params:
- {name: given}
- {name: left, default: by default}
- {name: list, type: array, default: [z]}
- {name: image, type: object, properties: {url: {type: string}}, default: {url: example.test}}
results: [{name: text}]
steps:
- name: write
  image: IMAGE
  args: ["$(params.list[*])"]
  env: [{name: GIVEN, value: $(params.given)}]
  script: |
    printf '%s|' "$GIVEN" '$(params.left)' "$@" '$(params.image.url)' | tee $(results.text.path)`)},
	{name: "the last step fails", yaml: oneTask(`
results: [{name: early}, {name: text}]
steps:
- {name: first, image: IMAGE, script: "printf one > $(results.early.path)"}
- {name: fails, image: IMAGE, results: [{name: own}], script: "printf own > $(step.results.own.path); printf two > $(results.text.path); echo out; exit 3"}`)},
	{name: "a step that fails makes the next be skipped", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: fails, image: IMAGE, results: [{name: own}], script: "printf own > $(step.results.own.path); printf kept > $(results.text.path); exit 7"}
- {name: never, image: IMAGE, results: [{name: own}], script: "printf never > $(results.text.path); printf never > $(step.results.own.path)"}
- {name: nor-this, image: IMAGE, script: "true"}`)},
	{name: "steps that fail and are told to continue", yaml: oneTask(`
results: [{name: first}, {name: last}]
steps:
- {name: fails, image: IMAGE, onError: continue, results: [{name: own}], script: "printf own > $(step.results.own.path); printf one > $(results.first.path); exit 5"}
- {name: reads, image: IMAGE, args: [$(steps.fails.results.own)], script: "echo $1 $(cat $(steps.step-fails.exitCode.path))"}
- {name: fails-last, image: IMAGE, onError: continue, script: "printf two > $(results.last.path); exit 74"}`)},
	{name: "steps that run only when", yaml: oneTaskWith(`params: [{name: go, value: "no"}]`, `
params: [{name: go}]
results: [{name: text}]
steps:
- {name: first, image: IMAGE, results: [{name: own}], script: "printf yes > $(step.results.own.path); printf one > $(results.text.path)"}
- {name: never, image: IMAGE, when: [{input: $(params.go), operator: in, values: ["yes"]}], results: [{name: own}], script: "printf never > $(results.text.path)"}
- {name: runs, image: IMAGE, when: [{input: $(steps.first.results.own), operator: in, values: ["yes"]}], script: "echo runs"}
- {name: last, image: IMAGE, when: [{input: $(steps.first.results.own), operator: notin, values: ["yes"]}], script: "printf last > $(results.text.path)"}`)},
	{name: "a step uses what a step before it failed to write", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: first, image: IMAGE, results: [{name: own}], script: "printf x > $(results.text.path)"}
- {name: uses, image: IMAGE, args: [$(steps.first.results.own)], script: "echo $1"}
- {name: last, image: IMAGE, script: "true"}`)},
	{name: "step actions with parameters and results", yaml: `
apiVersion: tekton.dev/v1beta1
kind: StepAction
metadata: {name: greet}
spec:
  params: [{name: who, default: you}]
  results: [{name: greeting}, {name: list, type: array}]
  image: IMAGE
  env: [{name: WHO, value: $(params.who)}]
  script: |
    printf "hello $WHO" | tee $(step.results.greeting.path)
    printf '["a","b"]' > $(step.results.list.path)
---
` + oneTask(`
results: [{name: said, value: $(steps.second.results.greeting)}, {name: list, type: array, value: $(steps.first.results.list)}]
stepTemplate: {env: [{name: FROM, value: template}]}
steps:
- {name: first, ref: {name: greet}}
- {name: second, ref: {name: greet}, params: [{name: who, value: "$(steps.first.results.list[1])"}], onError: continue}
- {name: third, image: IMAGE, args: [$(steps.first.results.greeting)], script: "echo $FROM $1"}`)},
	{name: "a step that prints to both streams", yaml: oneTask(`
results: [{name: text}]
steps:
- name: write
  image: IMAGE
  script: |
    exec 2>&1
    echo out; echo err >&2; echo out again
    printf 'no newline at the end' | tee $(results.text.path) | wc -c
    printf 'bytes \377 that are no text\r\nthe end'`)},
	{name: "a long log", yaml: oneTask(`
results: [{name: lines}]
steps:
- {name: write, image: IMAGE, script: "seq 20000 | sed 's/$/ of a line that is not short and has to arrive/'; printf 20000 > $(results.lines.path)"}
- {name: wide, image: IMAGE, script: "head -c 40000 /dev/zero | tr '\\0' x; echo"}
- {name: errors, image: IMAGE, script: "seq 2000 >&2"}`)},
	{name: "many steps and results", yaml: oneTask(`
results: [{name: a}, {name: z}, {name: m}, {name: b}, {name: b.c}, {name: B-d_e}]
steps:
- {name: s1, image: IMAGE, results: [{name: z}, {name: a}], script: "printf 1 > $(results.z.path); printf z > $(step.results.z.path); printf a > $(step.results.a.path)"}
- {name: s2, image: IMAGE, script: "printf 2 > $(results.m.path)"}
- {name: s3, image: IMAGE, results: [{name: a}], script: "printf 3 > $(results.a.path); printf 3 > $(step.results.a.path)"}
- {name: s4, image: IMAGE, script: "printf 4 > $(results[\"b.c\"].path); printf 4 > $(results.B-d_e.path)"}
- {name: s5, image: IMAGE, script: "printf 5 > $(results.b.path)"}`)},
	{name: "a step that leaves processes behind", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: leaves, image: IMAGE, script: "sleep 300 & setsid sleep 300 & (sleep 300 > /dev/null 2>&1 &) ; printf one > $(results.text.path)"}
- {name: last, image: IMAGE, script: "sleep 300 & exit 0"}`)},
	{name: "a Task without results", left: true,
		yaml: oneTask(`steps: [{name: one, image: IMAGE, script: "echo one; ls /"}]`)},
	{name: "a Task that opted out", left: true, yaml: optedOutYAML},
	{name: "requests and limits of steps", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: one, image: IMAGE, computeResources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}, script: "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; printf x > $(results.text.path)"}
- {name: two, image: IMAGE, computeResources: {limits: {cpu: 500m, memory: 48Mi}}, script: "true"}`)},
	{name: "files of another step's folders", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: one, image: IMAGE, script: "echo one > /tekton/home/one; echo one > /workspace/one; printf x > $(results.text.path)"}
- {name: two, image: IMAGE, script: "cat /tekton/home/one /workspace/one; ls -l /tekton/run/0 | wc -l; cat /tekton/run/0/status/exitCode; touch /tekton/run/0/x 2>&1 || echo read-only"}`)},
}

const optedOutYAML = `
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run, annotations: {indelible.dev/results: disabled}}
spec:
  taskSpec:
    results: [{name: text}]
    steps: [{name: write, image: IMAGE, script: "printf hello > $(results.text.path)"}]
`
