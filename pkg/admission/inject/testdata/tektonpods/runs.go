package main

const oneResult = `
results: [{name: digest}]
steps:
- {name: build, image: busybox, command: [sh], args: [-c, "echo -n abc > /tekton/results/digest"]}
`

var runs = map[string]run{
	"one-step": {task: oneResult},
	"opted-out": {
		task:        oneResult,
		annotations: map[string]string{"indelible.dev/results": "disabled"},
	},
	"no-results": {task: `
steps:
- {name: build, image: busybox, command: [sh], args: [-c, "true"]}
`},
	"multi-step": {task: `
results: [{name: digest}, {name: tags, type: array}, {name: url}]
steps:
- name: fetch
  image: busybox
  script: |
    #!/bin/sh
    echo fetch -results -step_results
- name: build
  image: busybox
  workingDir: /workspace/src
  onError: continue
  timeout: 90s
  stdoutConfig: {path: /workspace/out}
  stderrConfig: {path: /workspace/err}
  results: [{name: sha}]
  command: [make]
  args: [-results, x, --, -step_results=y]
- image: busybox
  results: [{name: left}, {name: right}]
  when: [{input: "-x", operator: in, values: ["-results", "a"]}]
  command: [sh]
  args: [-c, "true"]
`},
	"step-results-only": {task: `
results: [{name: all, value: "$(steps.first.results.a)"}]
steps:
- {name: first, image: busybox, results: [{name: a}], command: [sh], args: [-c, "true"]}
- {name: second, image: busybox, command: [sh], args: [-c, "true"]}
`},
	"sidecar": {task: `
results: [{name: digest}]
steps:
- {name: build, image: busybox, command: [sh], args: [-c, "true"]}
sidecars:
- {name: dind, image: docker, command: [dockerd]}
`},
	"native-sidecar": {
		task: `
results: [{name: digest}]
steps:
- {name: build, image: busybox, script: "echo hello"}
sidecars:
- {name: dind, image: docker, command: [dockerd]}
`,
		taskRun: `podTemplate: {automountServiceAccountToken: false, securityContext: {runAsUser: 1001, runAsNonRoot: true, fsGroup: 1001}}`,
		flags:   map[string]string{"set-security-context": "true", "enable-kubernetes-sidecar": "true"},
	},
	"scripts": {
		task: `
params: [{name: at}]
steps:
- name: build
  image: busybox
  script: |
    #!/bin/sh
    echo build $(params.at) $$(date) "$(ls)"
- {name: check, image: busybox, command: [sh, -c], args: ["$0 $1", "one", "two"], env: [{name: FIRST, value: one}, {name: SECOND, value: $(FIRST)}]}
- {name: again, image: busybox, script: echo again, when: [{input: "x", operator: in, values: ["y"]}]}
sidecars:
- {name: db, image: busybox, script: sleep 1000, env: [{name: DATA, value: d}]}
- {name: dind, image: docker, command: [dockerd], args: [--debug]}
- {name: own, image: docker, args: [--debug]}
`,
		taskRun: `debug: {breakpoints: {onFailure: enabled, beforeSteps: [build]}}`,
		flags:   map[string]string{"set-security-context": "true", "enable-api-fields": "alpha"},
	},
	"breakpoint": {
		task:    oneResult,
		taskRun: `debug: {breakpoints: {onFailure: enabled, beforeSteps: [build]}}`,
		flags:   map[string]string{"enable-api-fields": "alpha"},
	},
	"compressed": {
		task: oneResult,
		flags: map[string]string{
			"enable-termination-message-compression": "true", "keep-pod-on-cancel": "true",
			"enable-api-fields": "alpha",
		},
	},
	"sidecar-logs": {task: oneResult, flags: map[string]string{"results-from": "sidecar-logs"}},
	"spire": {
		task:  oneResult,
		flags: map[string]string{"enable-api-fields": "alpha", "enforce-nonfalsifiability": "spire"},
	},
	"windows": {task: oneResult, taskRun: `podTemplate: {nodeSelector: {kubernetes.io/os: windows}}`},
}
