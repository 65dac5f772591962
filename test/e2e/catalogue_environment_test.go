//go:build e2e

package e2e

import "fmt"

// environmentEntries hide things from a step or change how programs behave; none of it may affect
// the publisher.
var environmentEntries = append([]entry{
	{name: "what a step finds in its environment", yaml: oneTask(`
results: [{name: text}]
steps:
- name: look
  image: IMAGE
  env: [{name: OWN, value: "a b=c"}, {name: EMPTY, value: ""}]
  workingDir: /tekton/home
  script: |
    env | sort
    pwd
    umask
    printf x > $(results.text.path)`)},
	{name: "what a step's process is", yaml: oneTask(`
results: [{name: text}]
steps:
- name: look
  image: IMAGE
  script: |
    grep -E '^(Sig(Blk|Ign|Cgt|Pnd)|ShdPnd|Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups|Umask)' /proc/self/status
    cat /proc/self/limits /proc/self/oom_score_adj
    for fd in 0 1 2; do readlink /proc/self/fd/$fd | sed 's/[0-9]//g'; done
    ls /proc/self/fd | wc -l
    tty || true
    cat; echo "stdin ended with $?"
    printf x > $(results.text.path)`)},
	{name: "which processes a step sees", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: look, image: IMAGE, script: "cat /proc/1/comm; cat /proc/$PPID/comm; cut -d' ' -f5,6,7 /proc/$$/stat | sed \"s/$$/own/g\"; printf x > $(results.text.path)"}`)},
	{name: "which folders a step sees", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: tekton, image: IMAGE, results: [{name: own}], script: "ls /tekton /tekton/run /tekton/steps /tekton/results /workspace; printf x > $(results.text.path)"}
- {name: first, image: IMAGE, script: "ls /"}
- {name: last, image: IMAGE, script: "ls /"}`)},
	{name: "which mounts a step sees", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: first, image: IMAGE, script: "cut -d' ' -f2 /proc/mounts | sort; printf x > $(results.text.path)"}
- {name: last, image: IMAGE, script: "cut -d' ' -f2 /proc/mounts | sort"}`)},
	{name: "a script that asks for other shells and programs", yaml: oneTask(`
results: [{name: text}]
steps:
- name: ash
  image: IMAGE
  script: |
    #!/bin/busybox ash
    set -u; echo "$0" | sed 's/-[a-z0-9]*$//'
- name: hush
  image: IMAGE
  script: |
    #!/bin/busybox hush
    echo hush
- name: awk
  image: IMAGE
  script: |
    #!/usr/bin/awk -f
    BEGIN { printf "awk" > "$(results.text.path)" }
- name: env
  image: IMAGE
  args: [one, "two three"]
  script: |
    #!/usr/bin/env sh
    echo "$#: $2"
- name: command
  image: IMAGE
  command: [/bin/printf]
  args: ["%s|", "a b", "$(context.taskRun.name)", ""]`)},
	{name: "workspaces and volumes", yaml: `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {key: value}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: hunter2}
---
` + oneTaskWith(`
workspaces:
- {name: shared, emptyDir: {}}
- {name: settings, configMap: {name: settings}}
- {name: both, projected: {sources: [{configMap: {name: settings}}, {secret: {name: password}}]}}`, `
workspaces: [{name: shared}, {name: settings, mountPath: /etc/settings, readOnly: true}, {name: both}, {name: missing, optional: true}]
results: [{name: text}, {name: path}]
volumes:
- {name: memory, emptyDir: {medium: Memory}}
- {name: files, downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}
steps:
- name: write
  image: IMAGE
  volumeMounts: [{name: memory, mountPath: /memory, subPath: below}, {name: files, mountPath: /files}]
  envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: password}, prefix: "A_"}]
  script: |
    echo "$key $A_password $(workspaces.missing.bound)"
    cat /etc/settings/key /files/namespace /workspace/both/*
    printf one > $(workspaces.shared.path)/one
    ln -s $(workspaces.shared.path)/one $(results.text.path)
    printf '$(workspaces.shared.path)' > $(results.path.path)
- {name: read, image: IMAGE, script: "cat $(workspaces.shared.path)/one; printf two > $(workspaces.shared.path)/one"}`)},
	{name: "a workspace in the place of the temporary folder", yaml: oneTaskWith("workspaces: [{name: tmp, emptyDir: {}}]", `
workspaces: [{name: tmp, mountPath: /tmp}]
results: [{name: text}]
steps:
- {name: write, image: IMAGE, script: "printf x > /tmp/x; ls /tmp; mv /tmp/x $(results.text.path)"}
- {name: read, image: IMAGE, script: "ls /tmp"}`)},
}, hidingEntries()...)

// hidingEntries set variables that programs written in Go, or those that talk to the API server,
// act upon. Each is set in the first and the last step of its TaskRun.
func hidingEntries() []entry {
	var all []entry
	for _, e := range []struct{ name, variables string }{
		{"the cluster's address is hidden",
			`{name: KUBERNETES_SERVICE_HOST, value: ""}, {name: KUBERNETES_SERVICE_PORT, value: ""}`},
		{"another cluster's address is given", `{name: KUBERNETES_SERVICE_HOST, value: "192.0.2.1"}`},
		{"the address is no address",
			`{name: KUBERNETES_SERVICE_HOST, value: "x y"}, {name: KUBERNETES_SERVICE_PORT, value: "-1"}`},
		{"nothing is where programs look for it", `{name: PATH, value: ""}, {name: HOME, value: /nonexistent}, {name: TMPDIR, value: /nonexistent},
    {name: SSL_CERT_FILE, value: /dev/null}, {name: SSL_CERT_DIR, value: /nonexistent}, {name: LD_PRELOAD, value: /nonexistent/lib.so}, {name: LD_LIBRARY_PATH, value: /nonexistent},
    {name: HOSTNAME, value: elsewhere}, {name: RES_OPTIONS, value: "timeout:1"}, {name: LOCALDOMAIN, value: test}, {name: TZ, value: /nonexistent}, {name: ZONEINFO, value: /dev/zero}`},
		{"a proxy that nobody is is set", `{name: HTTPS_PROXY, value: "http://192.0.2.1:1"}, {name: HTTP_PROXY, value: "http://192.0.2.1:1"}, {name: NO_PROXY, value: ""},
    {name: https_proxy, value: "http://192.0.2.1:1"}, {name: ALL_PROXY, value: "socks5://192.0.2.1:1"}`},
		{"Go programs print what they do in HTTP", `{name: GODEBUG, value: "http2debug=2,netdns=9"}`},
		{"Go programs print how they start", `{name: GODEBUG, value: "inittrace=1"}`},
		{"Go programs speak old protocols, have no memory, and crash with a core", `{name: GODEBUG, value: "tls10server=1,http2client=0,netdns=cgo,x509sha1=1,panicnil=1"},
    {name: GOMEMLIMIT, value: "1"}, {name: GOGC, value: "1"}, {name: GOMAXPROCS, value: "1"}, {name: GOTRACEBACK, value: crash}, {name: GOCOVERDIR, value: /nonexistent}`},
	} {
		all = append(all, entry{name: e.name, yaml: oneTask(fmt.Sprintf(`
results: [{name: url}]
steps:
- name: first
  image: IMAGE
  env: [%[1]s]
  results: [{name: own}]
  command: [/bin/sh]
  args: [-c, "/bin/echo host=$KUBERNETES_SERVICE_HOST; printf own > $(step.results.own.path)"]
- name: last
  image: IMAGE
  env: [%[1]s]
  command: [/bin/sh]
  args: [-c, "printf https://app.example.test > $(results.url.path)"]
`, e.variables))})
	}
	return all
}
