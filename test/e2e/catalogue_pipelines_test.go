//go:build e2e

package e2e

// pipelineEntries pass results from Task to Task, and out of the Pipeline.
var pipelineEntries = []entry{
	{name: "results are passed on by index, key and as a whole", yaml: onePipeline(`
results:
- {name: whole, value: "$(tasks.make.results.list[*])"}
- {name: second, value: "$(tasks.make.results.list[1])"}
- {name: object, value: "$(tasks.make.results.image[*])"}
- {name: url, value: $(tasks.make.results.image.url)}
- {name: joined, value: "$(tasks.make.results.text)-$(tasks.use.results.said)"}
- {name: stepped, value: $(tasks.make.results.stepped)}
tasks:
- name: make
  taskSpec:
    results:
    - {name: list, type: array}
    - {name: image, type: object, properties: {url: {type: string}, digest: {type: string}}}
    - {name: text}
    - {name: stepped, value: $(steps.first.results.own)}
    steps:
    - {name: first, image: IMAGE, results: [{name: own}], script: "printf own > $(step.results.own.path)"}
    - name: write
      image: IMAGE
      script: |
        printf '["a","b c"]' > $(results.list.path)
        printf '{"url":"example.test","digest":"sha256:1"}' > $(results.image.path)
        echo text > $(results.text.path)
- name: use
  params:
  - {name: list, value: "$(tasks.make.results.list[*])"}
  - {name: image, value: "$(tasks.make.results.image[*])"}
  - {name: one, value: "$(tasks.make.results.list[0])"}
  taskSpec:
    params: [{name: list, type: array}, {name: image, type: object, properties: {url: {type: string}, digest: {type: string}}}, {name: one}]
    results: [{name: said}]
    steps:
    - {name: say, image: IMAGE, args: ["$(params.list[*])"], script: "printf '%s|' \"$@\" $(params.image.digest) $(params.one) | tee $(results.said.path)"}
`)},
	{name: "a result that is missing is asked for", yaml: onePipeline(`
results: [{name: text, value: $(tasks.make.results.text)}, {name: missing, value: $(tasks.make.results.missing)}]
tasks:
- name: make
  taskSpec:
    results: [{name: text}, {name: missing}]
    steps: [{name: write, image: IMAGE, script: "printf hello > $(results.text.path)"}]
- name: use
  params: [{name: missing, value: $(tasks.make.results.missing)}]
  taskSpec:
    params: [{name: missing}]
    steps: [{name: say, image: IMAGE, script: "echo $(params.missing)"}]`)},
	{name: "results of a failed Task are used at the end", yaml: onePipeline(`
results: [{name: why, value: $(tasks.fail.results.why)}, {name: said, value: $(finally.report.results.said)}]
tasks:
- name: fail
  taskSpec:
    results: [{name: why}]
    steps:
    - {name: write, image: IMAGE, script: "printf 'out of cheese' > $(results.why.path); exit 3"}
    - {name: never, image: IMAGE, script: "true"}
- name: never
  runAfter: [fail]
  taskSpec: {steps: [{name: say, image: IMAGE, script: "true"}]}
finally:
- name: report
  params: [{name: why, value: $(tasks.fail.results.why)}, {name: status, value: $(tasks.fail.status)}]
  taskSpec:
    params: [{name: why}, {name: status}]
    results: [{name: said}]
    steps: [{name: say, image: IMAGE, script: "printf '$(params.status): $(params.why)' > $(results.said.path)"}]
- name: skipped
  when: [{input: $(tasks.fail.results.why), operator: in, values: [cheese]}]
  taskSpec: {steps: [{name: say, image: IMAGE, script: "true"}]}`)},
	{name: "a failed Task is ignored and its result is used", yaml: onePipeline(`
tasks:
- name: fail
  onError: continue
  taskSpec:
    results: [{name: why}]
    steps: [{name: write, image: IMAGE, script: "printf because > $(results.why.path); exit 3"}]
- name: use
  params: [{name: why, value: $(tasks.fail.results.why)}]
  taskSpec:
    params: [{name: why}]
    steps: [{name: say, image: IMAGE, script: "echo $(params.why)"}]`)},
	{name: "a matrix fans out and its results come together", yaml: onePipeline(`
results: [{name: joined, value: $(tasks.join.results.joined)}, {name: all, value: "$(tasks.fan.results.word[*])"}]
tasks:
- name: fan
  matrix: {params: [{name: letter, value: [a, b, c]}]}
  taskSpec:
    params: [{name: letter}]
    results: [{name: word}]
    steps: [{name: write, image: IMAGE, script: "printf 'word-$(params.letter)' > $(results.word.path)"}]
- name: join
  params: [{name: words, value: ["$(tasks.fan.results.word[*])"]}]
  taskSpec:
    params: [{name: words, type: array}]
    results: [{name: joined}]
    steps: [{name: join, image: IMAGE, args: ["$(params.words[*])"], script: "printf '%s|' \"$@\" > $(results.joined.path)"}]`)},
	{name: "results decide what runs", yaml: onePipeline(`
results: [{name: yes, value: $(tasks.runs.results.text)}, {name: "no", value: $(tasks.not.results.text)}]
tasks:
- name: decide
  taskSpec:
    results: [{name: go}, {name: list, type: array}]
    steps: [{name: write, image: IMAGE, script: "printf go > $(results.go.path); printf '[\"x\",\"y\"]' > $(results.list.path)"}]
- name: runs
  when: [{input: $(tasks.decide.results.go), operator: in, values: [go]}, {input: x, operator: in, values: ["$(tasks.decide.results.list[*])"]}]
  taskSpec:
    results: [{name: text}]
    steps: [{name: say, image: IMAGE, script: "printf ran > $(results.text.path)"}]
- name: not
  when: [{input: $(tasks.decide.results.go), operator: notin, values: [go]}]
  taskSpec:
    results: [{name: text}]
    steps: [{name: say, image: IMAGE, script: "printf ran > $(results.text.path)"}]
- name: after
  params: [{name: text, value: $(tasks.not.results.text)}]
  taskSpec:
    params: [{name: text}]
    steps: [{name: say, image: IMAGE, script: "true"}]`)},
	{name: "a Task of a Pipeline is tried again", yaml: onePipeline(`
results: [{name: attempt, value: $(tasks.flaky.results.attempt)}]
tasks:
- name: flaky
  retries: 1
  taskSpec:
    results: [{name: attempt}]
    steps:
    - {name: first, image: IMAGE, script: "printf '$(context.task.retry-count)' > $(results.attempt.path)"}
    - {name: last, image: IMAGE, script: "test '$(context.task.retry-count)' = 1"}`)},
	{name: "a later step of a Pipeline's Task cleans up", yaml: onePipeline(`
results: [{name: digest, value: $(tasks.make.results.digest)}]
tasks:
- name: make
  taskSpec:
    results: [{name: digest}]
    steps:
    - {name: build, image: IMAGE, script: "printf sha256:feed > $(results.digest.path)"}
    - {name: clean, image: IMAGE, script: "rm -rf /tekton/results/* /workspace/*"}
- name: use
  params: [{name: digest, value: $(tasks.make.results.digest)}]
  taskSpec:
    params: [{name: digest}]
    steps: [{name: say, image: IMAGE, script: "echo 'got $(params.digest)'"}]`)},
	{name: "a workspace and results side by side", yaml: onePipelineWith(`
workspaces:
- name: shared
  volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}}`, `
workspaces: [{name: shared}]
tasks:
- name: produce
  workspaces: [{name: shared, subPath: below/it}]
  taskSpec:
    workspaces: [{name: shared}]
    results: [{name: text}]
    steps: [{name: write, image: IMAGE, script: "printf text | tee $(results.text.path) > $(workspaces.shared.path)/copy"}]
- name: compare
  workspaces: [{name: shared}]
  params: [{name: text, value: $(tasks.produce.results.text)}]
  taskSpec:
    workspaces: [{name: shared}]
    params: [{name: text}]
    steps: [{name: compare, image: IMAGE, script: "test '$(params.text)' = $(cat $(workspaces.shared.path)/below/it/copy); find $(workspaces.shared.path)"}]`)},
}
