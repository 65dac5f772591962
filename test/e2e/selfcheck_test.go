//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestUnguardedGrant removes each guard of the grant and restores it with the commands that /readyz
// names. Each replica notices on its own.
func TestUnguardedGrant(t *testing.T) {
	p := newPlace(t)
	t.Cleanup(func() { install(p) })
	wantReady(p)
	failed := failedLooks(p)

	p.kubectl("delete", "validatingadmissionpolicybinding", "indelible-results")
	wantNotReady(p, "ValidatingAdmissionPolicyBinding/indelible-results",
		"does not exist. Put it back: kubectl apply -k config/policy; or revoke the grant: kubectl delete -k config/rbac")
	for _, pod := range replicas(p) { // events come after the fact
		if _, err := cluster.Events(p.ctx, system, pod.Name, "UnguardedGrant"); err != nil {
			t.Fatal(err)
		}
	}
	described := p.kubectl("describe", "pods", "-n", system, "-l", replicaLabel, "--show-events")
	if got := len(eventLines(described, "UnguardedGrant")); got == 0 {
		t.Errorf("`kubectl describe pods` shows no event UnguardedGrant:\n%s", described)
	}
	// Pods are not injected, and Tekton continues.
	p.kubectl("wait", "--for=condition=Ready=False", "pod", "-l", replicaLabel, "-n", system, "--timeout=60s")
	wantPlainTekton(p)
	p.kubectl("apply", "-k", "../../config/policy")
	wantReady(p)

	p.kubectl("delete", "mutatingwebhookconfiguration", "indelible-guard")
	wantNotReady(p, "MutatingWebhookConfiguration/indelible-guard",
		"does not exist. Put it back: kubectl apply -k config/webhook;")
	p.kubectl("apply", "-k", "../../config/webhook")
	wantReady(p)

	p.kubectl("patch", "validatingadmissionpolicy", "indelible-results", "--type=merge", "-p",
		`{"spec":{"failurePolicy":"Ignore"}}`)
	wantNotReady(p, "ValidatingAdmissionPolicy/indelible-results", "has failurePolicy Ignore, not Fail")
	p.kubectl("delete", "-k", "../../config/rbac", "--ignore-not-found")
	wantReady(p)

	// Without the grant publishing fails, and the reason is there.
	p.create(taskRunOf(`- {name: text}`, `printf hello > $(results.text.path)`))
	failedWith(t, p.taskRun("run"), "403", "taskruns/status", "Indelible's RBAC is installed")

	// The grant of one namespace, as config/components/namespaced-grant tells to make it.
	p.kubectl("apply", "-f", "../../config/rbac/10-clusterrole.yaml")
	p.kubectl("create", "rolebinding", "indelible-publish-results", "-n", p.namespace,
		"--clusterrole=indelible-publish-results", "--group=system:serviceaccounts:"+p.namespace)
	wantNotReady(p, "ValidatingAdmissionPolicy/indelible-results", "has failurePolicy Ignore, not Fail")
	p.kubectl("apply", "-k", "../../config/policy")
	wantReady(p)

	if now := failedLooks(p); now != failed {
		t.Errorf("%v looks failed, and before this test %v", now, failed)
	}
}

// failedLooks counts the replicas' failed checks, which faults of the API server cause.
func failedLooks(p *place) (sum float64) {
	p.t.Helper()
	const name = "indelible_selfcheck_failures_total"
	replicas, err := cluster.ReplicaMetrics(p.ctx, name)
	if err != nil {
		p.t.Fatal(err)
	}
	for pod, samples := range replicas {
		value, ok := samples[name]
		if !ok {
			p.t.Fatalf("%s has no metric %s", pod, name)
		}
		sum += value
	}
	return sum
}

// wantReady waits until every replica is ready, for its kubelet too, and says that nothing is
// unguarded.
func wantReady(p *place) {
	p.t.Helper()
	awaitReadyz(p, "200", "ok")
	p.kubectl("wait", "--for=condition=Ready", "pod", "-l", replicaLabel, "-n", system, "--timeout=60s")
	if lines := unguarded(p); len(lines) > 0 {
		p.t.Errorf("metrics %q, want all zero", lines)
	}
}

// wantNotReady waits until every replica says that a piece is missing, and why, and counts it.
func wantNotReady(p *place, piece, why string) {
	p.t.Helper()
	awaitReadyz(p, "503", piece+" "+why)
	want := fmt.Sprintf(`indelible_unguarded_grant{piece="%s"} %d`, piece, len(replicas(p)))
	if lines := unguarded(p); len(lines) != 1 || lines[0] != want {
		p.t.Errorf("metrics %q, want %q", lines, want)
	}
}

func unguarded(p *place) []string {
	p.t.Helper()
	lines, err := cluster.WebhookMetrics(p.ctx, "indelible_unguarded_grant")
	if err != nil {
		p.t.Fatal(err)
	}
	return lines
}

// awaitReadyz looks at /readyz of every replica until all answer that.
func awaitReadyz(p *place, status, text string) {
	p.t.Helper()
	var last []string
	// between two looks
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		last = nil
		for _, pod := range replicas(p) {
			if got := readyz(p, pod.Name); !strings.HasPrefix(got, status) || !strings.Contains(got, text) {
				last = append(last, pod.Name+" says "+got)
			}
		}
		if len(last) == 0 {
			return
		}
	}
	p.t.Fatalf("want %s with %q from every replica, but %s", status, text, strings.Join(last, "; "))
}

// readyz is what a replica answers, as "status text". A replica that is not ready is in no Service,
// but can be asked.
func readyz(p *place, pod string) string {
	text, err := cluster.Kube.CoreV1().RESTClient().Get().Namespace(system).Resource("pods").
		Name(pod + ":8081").SubResource("proxy").Suffix("readyz").MaxRetries(0).DoRaw(p.ctx)
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return "200 " + string(text)
	case errors.As(err, &status):
		return fmt.Sprintf("%d %s", status.Status().Code, text)
	}
	return err.Error()
}

// awaitSelfChecks waits until every replica has checked the current state and is ready. Otherwise a
// replica that has just seen a missing piece could become unready during the next test, whose pods
// would then not be injected.
func awaitSelfChecks(p *place) {
	p.t.Helper()
	now := time.Now()
	p.eventually("every replica to look", func() (bool, error) {
		pods := replicas(p)
		return len(pods) > 0 && !slices.ContainsFunc(pods,
			func(pod corev1.Pod) bool { return lastLook(p, pod.Name).Before(now) }), nil
	})
	wantReady(p)
}

// lastLook is when the last look of a replica began, as its metric says: long ago for one that
// goes, or is not there yet.
func lastLook(p *place, pod string) time.Time {
	text, err := cluster.Kube.CoreV1().RESTClient().Get().Namespace(system).Resource("pods").
		Name(pod + ":8080").SubResource("proxy").Suffix("metrics").DoRaw(p.ctx)
	if err != nil {
		return time.Time{}
	}
	_, after, _ := strings.Cut(string(text), "\nindelible_selfcheck_last_success_timestamp_seconds ")
	value, _, _ := strings.Cut(after, "\n")
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(seconds * 1000))
}

// replicas lists the webhook's Pods that are to stay.
func replicas(p *place) []corev1.Pod {
	p.t.Helper()
	pods, err := cluster.Kube.CoreV1().Pods(system).List(p.ctx, metav1.ListOptions{LabelSelector: replicaLabel})
	if err != nil {
		p.t.Fatal(err)
	}
	return pods.Items
}
