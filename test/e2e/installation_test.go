//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/result"
	"github.com/indelible-ci/indelible/test/harness"
)

// The webhook, and the label of its replicas.
const (
	deployment   = "indelible-webhook"
	replicaLabel = "app.kubernetes.io/name=" + deployment
)

// waiting is a TaskRun named run whose only step writes a result and then waits to be released.
func waiting(script string) string {
	return taskRunOf(`- {name: text}`, script+`
until [ -e /tekton/home/go ]; do sleep 0.2; done`)
}

// TestGuardIsCalledOnce counts with the API server's own metric, not with ours.
func TestGuardIsCalledOnce(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		calls      int
	}{
		{"the guard is called exactly once for a TaskRun that publishes", waiting(writeSample(80_000, "text")), 1},
		{"the guard is not called at all for a TaskRun without results", `
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  taskSpec:
    steps:
    - name: write
      image: IMAGE
      script: |
        until [ -e /tekton/home/go ]; do sleep 0.2; done
`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			before := guardCalls(p)
			p.create(c.yaml)
			// The step ends only when the controller has nothing left to write, so that the pod's
			// write cannot conflict with the controller's: a conflict rightly costs a second call.
			pod := p.running("run", "step-write")
			if _, err := cluster.WaitTaskRun(p.ctx, p.namespace, "run", func(tr *pipelinev1.TaskRun) bool {
				return len(tr.Status.Steps) == 1 && tr.Status.Steps[0].Running != nil
			}); err != nil {
				t.Fatal(err)
			}
			p.release(pod, "step-write")
			taskRunSucceeded(t, p.taskRun("run"))
			if got := guardCalls(p) - before; got != c.calls {
				t.Errorf("the API server called the guard %d times, want %d", got, c.calls)
			}
		})
	}
}

var guardCallSample = regexp.MustCompile(
	`(?m)^apiserver_admission_webhook_request_total\{[^}]*name="(?:guard|report|carry-over|fit)\.indelible\.dev"[^}]*\} ([0-9.e+]+)$`)

// guardCalls is how often the API server has called the webhooks of a TaskRun's status.
func guardCalls(p *place) int {
	p.t.Helper()
	return apiServerCount(p, guardCallSample)
}

// apiServerCount adds up those samples of the API server's metrics that a regular expression finds.
func apiServerCount(p *place, sample *regexp.Regexp) int {
	p.t.Helper()
	total := 0.0
	for _, m := range sample.FindAllStringSubmatch(p.kubectl("get", "--raw", "/metrics"), -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			p.t.Fatal(err)
		}
		total += n
	}
	return int(total)
}

func TestControllerWithStaleStatus(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.create(waiting(writeSample(80_000, "text")))
	pod := p.running("run", "step-write")
	publishAs(p, pod, sample(80_000))

	controller, err := cluster.As("system:serviceaccount:tekton-pipelines:tekton-pipelines-controller",
		"system:serviceaccounts", "system:serviceaccounts:tekton-pipelines", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	stale, err := cluster.TaskRun(p.ctx, p.namespace, "run")
	if err != nil {
		t.Fatal(err)
	}
	stale.Status.Results = nil
	stale.Status.Conditions[0].Message = "written by a controller that has not seen the results"
	after, err := controller.Tekton.TektonV1().TaskRuns(p.namespace).UpdateStatus(p.ctx, stale, metav1.UpdateOptions{})
	if err != nil {
		t.Fatalf("the controller's write was refused: %v", err)
	}
	want := map[string]*pipelinev1.ResultValue{"text": text(sample(80_000))}
	wantResults(t, after.Status.Results, want)
	if after.Status.Conditions[0].Message != stale.Status.Conditions[0].Message {
		t.Error("the rest of the controller's write was not taken")
	}

	// The pod publishes the same value once more when its step ends: that adds nothing and is
	// allowed.
	p.release(pod, "step-write")
	tr := p.taskRun("run")
	taskRunSucceeded(t, tr)
	wantResults(t, tr.Status.Results, want)
}

// publishAs publishes the result text with the token of a pod, as the pod's publisher will.
func publishAs(p *place, pod, value string) {
	p.t.Helper()
	if err := p.writeAs(p.podWriter(pod), fmt.Sprintf(`{"results":[{"name":"text","value":%q}]}`, value)); err != nil {
		p.t.Fatalf("publishing as pod %s: %v", pod, err)
	}
}

// writeAs writes the status of the TaskRun run as another requester, like a publisher.
func (p *place) writeAs(who *harness.Cluster, status string) error {
	p.t.Helper()
	run, err := cluster.TaskRun(p.ctx, p.namespace, "run")
	p.must(err)
	return who.PutSparse(p.namespace, "run", run.UID, status).Do(p.ctx).Error()
}

// TestRestrictedNamespace needs Tekton to give its own init containers the security context the
// restricted profile demands; it does so with a feature flag, which is put back afterwards.
func TestRestrictedNamespace(t *testing.T) {
	p := newPlaceWith(t, map[string]string{
		result.EnabledKey:                    result.Enabled,
		"pod-security.kubernetes.io/enforce": "restricted",
	})
	setFlags := func(value string) {
		p.kubectl("patch", "configmap", "feature-flags", "-n", "tekton-pipelines", "--type=merge", "-p", fmt.Sprintf(
			`{"data":{"set-security-context":"%s","set-security-context-read-only-root-filesystem":"%s"}}`,
			value, value))
	}
	t.Cleanup(func() { setFlags("false") })
	setFlags("true")
	p.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: run}
spec:
  podTemplate:
    securityContext: {runAsNonRoot: true, runAsUser: 4242, runAsGroup: 4242, fsGroup: 4242, seccompProfile: {type: RuntimeDefault}}
  taskSpec:
    results:
    - {name: text}
    stepTemplate:
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
    steps:
    - name: write
      image: IMAGE
      script: |
        #!/bin/sh -e
        test "$(id -u)" = 4242
        ! touch /somewhere
        ` + writeSample(100_000, "text") + `
`)
	tr := p.taskRun("run")
	taskRunSucceeded(t, tr)
	wantResults(t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(sample(100_000))})
	wantInjected(p, tr.Status.PodName)
}

// configure sets a field of publisher in the installation's configuration file, for one test.
func configure(p *place, field, value string) {
	p.t.Helper()
	ctx := context.Background()
	maps := cluster.Kube.CoreV1().ConfigMaps(system)
	read := func() (*corev1.ConfigMap, string) {
		p.t.Helper()
		cm, err := maps.Get(ctx, "indelible-config", metav1.GetOptions{})
		if err != nil {
			p.t.Fatal(err)
		}
		return cm, cm.Data["config.yaml"]
	}
	write := func(text string) {
		p.t.Helper()
		cm, _ := read()
		cm.Data["config.yaml"] = text
		if _, err := maps.Update(ctx, cm, metav1.UpdateOptions{}); err != nil {
			p.t.Fatal(err)
		}
		// The webhook reloads the file itself, but the kubelet takes up to a minute to update it;
		// new pods have it at once.
		restart(p)
	}
	_, before := read()
	var file map[string]any
	if err := yaml.Unmarshal([]byte(before), &file); err != nil {
		p.t.Fatal(err)
	}
	file["publisher"].(map[string]any)[field] = value
	after, err := yaml.Marshal(file)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { write(before) })
	write(string(after))
}

// restart replaces every webhook replica and waits until the old ones, which serve while they
// drain, have ended. It does not use p.ctx, which has ended when tests clean up.
func restart(p *place) {
	p.t.Helper()
	run := func(args ...string) string {
		p.t.Helper()
		out, err := cluster.Kubectl(context.Background(), append(args, "-n", system)...)
		if err != nil {
			p.t.Fatal(err)
		}
		return out
	}
	old := strings.Fields(run("get", "pods", "-l", replicaLabel, "-o", "name"))
	run("rollout", "restart", "deployment/"+deployment)
	run("rollout", "status", "deployment/"+deployment, "--timeout=120s")
	run(append([]string{"wait", "--for=delete", "--timeout=120s"}, old...)...)
}
