//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWrongController installs with a wrong name of Tekton's controller. The preflight refuses
// that; if it is skipped, Tekton stops, the self-check says so, and Tekton continues once the right
// name is applied.
func TestWrongController(t *testing.T) {
	p := newPlace(t)
	const right, wrong = "system:serviceaccount:tekton-pipelines:tekton-pipelines-controller",
		"system:serviceaccount:openshift-pipelines:tekton-pipelines-controller"
	awaitSelfChecks(p)

	before := p.kubectl("get", "validatingadmissionpolicies", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
	out, err := exec.CommandContext(p.ctx, "make", "-C", "../..", "install", "CONTROLLER="+wrong).CombinedOutput()
	p.make("dist/install/kustomization.yaml") // with the right name again
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.Background(), "apply", "-k", "../../dist/install"); err != nil {
			t.Error(err)
		}
	})
	if want := "refused: Tekton's controller here is " + right + ", but " + wrong +
		" would be installed as its name"; err == nil || !strings.Contains(string(out), want) {
		t.Fatalf("make install: %v, want %q in\n%s", err, want, out)
	}
	if after := p.kubectl("get", "validatingadmissionpolicies", "-o",
		"jsonpath={.items[*].metadata.resourceVersion}"); after != before {
		t.Error("what was refused has been applied in part")
	}

	p.kubectl("apply", "-k", overlayWith(t, wrong))
	awaitReadyz(p, "503", "Tekton's controller is "+right+", but MutatingWebhookConfiguration/indelible-guard names "+
		wrong)
	lines, err := cluster.WebhookMetrics(p.ctx, "indelible_wrong_controller")
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"MutatingWebhookConfiguration/indelible-guard",
		"ValidatingAdmissionPolicy/indelible-pods", "ValidatingAdmissionPolicy/indelible-results"} {
		if want := fmt.Sprintf(`indelible_wrong_controller{piece="%s"} %d`, piece,
			len(replicas(p))); !strings.Contains(strings.Join(lines, "\n"), want) {
			t.Errorf("metrics %q lack %s", lines, want)
		}
	}
	for _, pod := range replicas(p) {
		messages, err := cluster.Events(p.ctx, system, pod.Name, "WrongController")
		if err != nil {
			t.Fatal(err)
		}
		if want := "make install CONTROLLER=" + right; !strings.Contains(messages[0], want) {
			t.Errorf("event %q, want %q in it", messages[0], want)
		}
	}
	wantControllerStopped(p)

	p.kubectl("apply", "-k", "../../dist/install")
	restart(p) // the kubelet would take up to a minute to bring the ConfigMap
	awaitSelfChecks(p)
	p.create(taskRunOf(`- {name: text}`, writeSample(100_000, "text")))
	tr := p.taskRun("run")
	taskRunSucceeded(t, tr)
	wantResults(t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(sample(100_000))})
	wantInjected(p, tr.Status.PodName)
}

// wantControllerStopped tries, as Tekton's controller and as a dry run, to make a pod that a
// TaskRun controls.
func wantControllerStopped(p *place) {
	p.t.Helper()
	controller, err := cluster.As("system:serviceaccount:tekton-pipelines:tekton-pipelines-controller",
		"system:serviceaccounts", "system:serviceaccounts:tekton-pipelines", "system:authenticated")
	if err != nil {
		p.t.Fatal(err)
	}
	yes := true
	_, err = controller.Kube.CoreV1().Pods(p.namespace).Create(p.ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "run-pod", OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "tekton.dev/v1", Kind: "TaskRun", Name: "run", UID: "none", Controller: &yes}}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "none", Image: "none"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil || !strings.Contains(err.Error(), "only Tekton's controller makes a pod that a TaskRun controls") {
		p.t.Errorf("a controller that nobody trusts makes a pod: %v", err)
	}
}

// overlayWith is an overlay on top of what `make install` applied last, with another controller, as
// in docs/operations.md.
func overlayWith(t *testing.T, controller string) string {
	t.Helper()
	folder := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	up, err := filepath.Rel(folder, root) // kustomize takes no absolute paths
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
sortOptions: {order: fifo}
resources: [ROOT/dist/install]
configMapGenerator:
- {name: indelible-config, namespace: indelible-system, behavior: merge, literals: ["controller=`+controller+`"]}
generatorOptions: {disableNameSuffixHash: true}
transformers: [ROOT/config/transformers/controller]
`, "ROOT", up)
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestReadLeaks gives a service account patch of taskruns/status, and then every one: a replica
// finds the one when it starts, the other at its next look.
func TestReadLeaks(t *testing.T) {
	p := newPlace(t)
	awaitSelfChecks(p)
	before := leaks(p)
	name := "leak-" + p.namespace
	t.Cleanup(func() {
		for _, object := range []string{"clusterrolebinding/" + name, "clusterrole/" + name} {
			if _, err := cluster.Kubectl(context.Background(), "delete", "--ignore-not-found", object); err != nil {
				t.Log(err)
			}
		}
	})
	p.kubectl("create", "clusterrole", name, "--verb=patch", "--resource=taskruns.tekton.dev/status")
	p.kubectl("create", "rolebinding", "leak", "-n", p.namespace, "--clusterrole="+name,
		"--serviceaccount="+p.namespace+
			":default")
	restart(p) // each replica looks through all bindings when it starts, and then seldom
	what := fmt.Sprintf("RoleBinding/%s/leak gives ClusterRole/%s to system:serviceaccount:%s:default",
		p.namespace, name,
		p.namespace)
	awaitLeaks(p, before["bound"]+1, before["all"])
	for _, pod := range replicas(p) {
		messages, err := cluster.Events(p.ctx, system, pod.Name, "ReadLeak")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(messages, "\n"), what) {
			t.Errorf("events %q do not name %s", messages, what)
		}
		if log := p.kubectl("logs", pod.Name, "-n", system); !strings.Contains(log, what) {
			t.Errorf("the log of %s does not name %s", pod.Name, what)
		}
	}
	wantReady(p) // it is told, and takes nobody away

	p.kubectl("create", "clusterrolebinding", name, "--clusterrole="+name, "--group=system:serviceaccounts")
	awaitLeaks(p, before["bound"]+1, 1)
	p.kubectl("delete", "clusterrolebinding", name)
	awaitLeaks(p, before["bound"]+1, before["all"])

	p.kubectl("create", "rolebinding", "read", "-n", p.namespace, "--clusterrole=view", "--serviceaccount="+p.namespace+
		":default")
	restart(p) // who may get needs no trick
	awaitLeaks(p, before["bound"], before["all"])
}

// leaks returns what each replica counts, by who can exploit the leak; all replicas must agree.
func leaks(p *place) map[string]float64 {
	p.t.Helper()
	counted, err := cluster.ReplicaMetrics(p.ctx, "indelible_read_leaks")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, samples := range counted {
		return map[string]float64{"bound": samples[`indelible_read_leaks{to="bound"}`],
			"all": samples[`indelible_read_leaks{to="all"}`]}
	}
	p.t.Fatal("there is no replica")
	return nil
}

func awaitLeaks(p *place, bound, all float64) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("every replica to count %v bindings that leak, and %v that leaks to all", bound, all),
		func() (bool, error) {
			counted, err := cluster.ReplicaMetrics(p.ctx, "indelible_read_leaks",
				"indelible_selfcheck_leaks_last_success_timestamp_seconds")
			for _, samples := range counted {
				if samples["indelible_selfcheck_leaks_last_success_timestamp_seconds"] == 0 ||
					samples[`indelible_read_leaks{to="bound"}`] != bound ||
					samples[`indelible_read_leaks{to="all"}`] != all {
					return false, err
				}
			}
			return len(counted) > 0, err
		})
}
