//go:build e2e

package e2e

// sidecarEntries have containers beside the steps.
var sidecarEntries = []entry{
	{name: "a sidecar that the steps talk to", yaml: oneTask(`
results: [{name: text}]
sidecars:
- name: server
  image: IMAGE
  script: "mkdir /www; echo served > /www/index.html; exec httpd -f -p 8080 -h /www"
  readinessProbe: {periodSeconds: 1, tcpSocket: {port: 8080}}
steps:
- {name: fetch, image: IMAGE, script: "wget -q -O - http://localhost:8080/ | tee $(results.text.path)"}
- {name: again, image: IMAGE, script: "wget -q -O - http://localhost:8080/"}`)},
	{name: "sidecars that write and read what the steps do", yaml: oneTaskWith("workspaces: [{name: shared, emptyDir: {}}]", `
workspaces: [{name: shared}]
results: [{name: text}]
sidecars:
- {name: writer, image: IMAGE, script: "echo from the sidecar > $(workspaces.shared.path)/said; ls /tekton/results 2> /dev/null || true; exec sleep 3600"}
steps:
- {name: wait, image: IMAGE, script: "until cat $(workspaces.shared.path)/said > $(results.text.path) 2> /dev/null; do usleep 100000; done"}
- {name: last, image: IMAGE, script: "cat $(results.text.path)"}`)},
	{name: "a sidecar that ends before the steps", yaml: oneTask(`
results: [{name: text}]
sidecars: [{name: short, image: IMAGE, script: "exit 0"}]
steps: [{name: write, image: IMAGE, script: "sleep 2; printf x > $(results.text.path)"}]`)},
	// Tekton looks at it now and then.
	{name: "a sidecar that fails", yaml: oneTask(`
results: [{name: text}]
sidecars: [{name: failing, image: IMAGE, script: "exit 3"}]
steps: [{name: write, image: IMAGE, script: "sleep 25; printf x > $(results.text.path)"}]`)},
	{name: "a sidecar of Kubernetes", yaml: oneTask(`
results: [{name: text}]
sidecars:
- {name: server, image: IMAGE, restartPolicy: Always, script: "echo served > /index.html; exec httpd -f -p 8081 -h /"}
steps: [{name: fetch, image: IMAGE, script: "until wget -q -O - http://localhost:8081/ > $(results.text.path) 2> /dev/null; do usleep 100000; done; cat $(results.text.path)"}]`)},
	{name: "a sidecar that stays after the steps failed", yaml: oneTask(`
results: [{name: text}]
sidecars: [{name: stays, image: IMAGE, script: "trap '' TERM; sleep 3600 & wait; wait"}]
steps:
- {name: fails, image: IMAGE, script: "printf x > $(results.text.path); exit 4"}
- {name: never, image: IMAGE, script: "true"}`)},
}
