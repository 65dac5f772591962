//go:build e2e

package e2e

// userEntries run steps as different users, with what these may do.
var userEntries = []entry{
	{name: "a step result that only its user can read", yaml: oneTask(`
results: [{name: token, value: $(steps.make.results.token)}]
steps:
- name: make
  image: IMAGE
  securityContext: {runAsUser: 1001, runAsGroup: 1001}
  results: [{name: token}]
  script: |
    umask 077
    printf abc > $(step.results.token.path)
- name: other
  image: IMAGE
  securityContext: {runAsUser: 1002, runAsGroup: 1002}
  script: "id; echo done"`)},
	{name: "a Task result that only an earlier step's user can read", yaml: oneTask(`
results: [{name: token}]
steps:
- {name: make, image: IMAGE, securityContext: {runAsUser: 1001}, script: "umask 077; printf abc > $(results.token.path)"}
- {name: other, image: IMAGE, securityContext: {runAsUser: 1002}, script: "true"}`)},
	{name: "a Task result that not even its own user can read", yaml: oneTask(`
results: [{name: token}]
steps: [{name: make, image: IMAGE, securityContext: {runAsUser: 1001}, script: "printf abc > $(results.token.path); chmod 0 $(results.token.path)"}]`)},
	{name: "every step has a user of its own", yaml: oneTask(`
results: [{name: one}, {name: two}, {name: three}]
steps:
- {name: one, image: IMAGE, securityContext: {runAsUser: 1001, runAsGroup: 2001}, script: "id; printf one > $(results.one.path)"}
- {name: two, image: IMAGE, securityContext: {runAsUser: 0}, script: "id; umask; printf two > $(results.two.path)"}
- {name: three, image: IMAGE, securityContext: {runAsUser: 1003, runAsGroup: 2003}, script: "id; cat $(results.two.path); printf three > $(results.three.path)"}`)},
	{name: "a pod for which all is restricted", yaml: oneTaskWith(`
podTemplate:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 4242, runAsGroup: 4242, fsGroup: 4242, seccompProfile: {type: RuntimeDefault}}`, `
results: [{name: text}]
stepTemplate:
  securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
steps:
- name: write
  image: IMAGE
  results: [{name: own}]
  script: |
    id; umask
    touch /somewhere 2>&1 || echo read-only
    grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status
    printf text > $(results.text.path)
    printf own > $(step.results.own.path)
- {name: other, image: IMAGE, script: "cat $(results.text.path)"}`)},
	{name: "a pod with a group for its files", yaml: oneTaskWith("podTemplate: {securityContext: {fsGroup: 3003}}", `
results: [{name: text}]
steps:
- {name: one, image: IMAGE, securityContext: {runAsUser: 1001}, script: "umask 027; id; printf one > $(results.text.path); ls -ln /tekton/results"}
- {name: two, image: IMAGE, securityContext: {runAsUser: 1002}, script: "id; cat $(results.text.path)"}`)},
	{name: "steps without a root to write to", yaml: oneTask(`
results: [{name: text}]
stepTemplate: {securityContext: {readOnlyRootFilesystem: true}}
steps:
- {name: one, image: IMAGE, script: "touch /x /tmp/x; printf one > $(results.text.path)"}
- {name: two, image: IMAGE, onError: continue, script: "touch /tmp/x"}
- {name: three, image: IMAGE, securityContext: {runAsUser: 1001}, script: "printf three > $(results.text.path).new; mv $(results.text.path).new $(results.text.path)"}`)},
	{name: "a step that may not run as root but would", yaml: oneTask(`
results: [{name: text}]
steps: [{name: write, image: IMAGE, securityContext: {runAsNonRoot: true}, script: "printf x > $(results.text.path)"}]`)},
	{name: "a privileged step", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: one, image: IMAGE, securityContext: {privileged: true}, script: "grep CapEff /proc/self/status; printf one > $(results.text.path)"}
- {name: two, image: IMAGE, securityContext: {capabilities: {add: [NET_ADMIN], drop: [CHOWN, DAC_OVERRIDE]}}, script: "grep CapEff /proc/self/status; cat $(results.text.path)"}`)},
	{name: "a service account without a token", yaml: `
apiVersion: v1
kind: ServiceAccount
metadata: {name: quiet}
automountServiceAccountToken: false
---
` + oneTaskWith("serviceAccountName: quiet", `
results: [{name: text}]
steps:
- name: write
  image: IMAGE
  script: |
    ls /var/run/secrets/kubernetes.io/serviceaccount 2>&1 || echo none
    printf hello > $(results.text.path)`)},
	{name: "a step that makes its results folder its own", yaml: oneTask(`
results: [{name: text}]
steps:
- {name: one, image: IMAGE, script: "printf one > $(results.text.path); chown -R 1001 /tekton/results; chmod 0700 /tekton/results"}
- {name: two, image: IMAGE, securityContext: {runAsUser: 1001}, script: "cat $(results.text.path)"}`)},
}
