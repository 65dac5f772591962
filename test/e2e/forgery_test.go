//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/test/harness"
)

// TestForgery tries, with the whole installation in place, to write what a running TaskRun's own pod has not written.
// The TaskRun has published the result text and may still publish late.
func TestForgery(t *testing.T) {
	p := newPlace(t)
	p.create(taskRunOf("- {name: text}\n- {name: late}", `
printf true > $(results.text.path)
until [ -e /tekton/home/go ]; do sleep 0.2; done`))
	own := p.running("run", "step-write")
	publishAs(p, own, "true")

	elsewhere := newPlace(t)
	writers := map[string]*harness.Cluster{
		"the run's own pod":         p.podWriter(own),
		"another pod":               p.podWriter(p.sleeper("forger")),
		"a token without a pod":     p.podWriter(""),
		"a pod of another team":     elsewhere.podWriter(elsewhere.sleeper(own)),
		"a person who may do all":   cluster,
		"the service account faked": p.impersonated("system:serviceaccount:" + p.namespace + ":default"),
	}
	const (
		late = `{"status":{"results":[{"name":"text","value":"true"},{"name":"late","value":"forged"}]}}`
		v1b1 = `{"status":{"taskResults":[{"name":"text","type":"string","value":"true"},{"name":"late","type":"string","value":"forged"}]}}`
	)
	for _, c := range []struct {
		name, who, version, patch string
		code                      int32
		reason                    string
	}{
		{"forbid another pod to add a result", "another pod", "v1", late, 403, "is not the TaskRun's pod"},
		{"forbid another pod to add a result through v1beta1", "another pod", "v1beta1", v1b1, 403, "in tekton.dev/v1 only"},
		{"forbid the own pod to write through v1beta1", "the run's own pod", "v1beta1", v1b1, 403, "in tekton.dev/v1 only"},
		{"forbid a token that is not bound to a pod", "a token without a pod", "v1", late, 403, "not bound to a pod"},
		{"forbid a pod of the same name in another namespace", "a pod of another team", "v1", late, 403, "another namespace"},
		{"forbid a person to add a result", "a person who may do all", "v1", late, 403, "only the TaskRun's own pod"},
		{"forbid an impersonated service account without a pod", "the service account faked", "v1", late, 403, "not bound to a pod"},
		{"forbid the own pod to change its result", "the run's own pod", "v1", `{"status":{"results":[{"name":"text","value":"false"}]}}`, 422, "cannot be changed"},
		{"forbid the own pod to remove its result", "the run's own pod", "v1", `{"status":{"results":null}}`, 422, "cannot be removed"},
		{"forbid the own pod a result nobody declared", "the run's own pod", "v1",
			`{"status":{"results":[{"name":"text","value":"true"},{"name":"IMAGE_DIGEST","value":"sha256:0"}]}}`, 422, "IMAGE_DIGEST"},
		{"forbid the own pod to declare itself succeeded", "the run's own pod", "v1",
			`{"status":{"conditions":[{"type":"Succeeded","status":"True","reason":"Succeeded","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, 422, "conditions"},
		{"forbid the own pod a result over the limit", "the run's own pod", "v1",
			fmt.Sprintf(`{"status":{"results":[{"name":"text","value":"true"},{"name":"late","value":%q}]}}`, sample(1<<20+1)), 413, "1048577"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := writers[c.who].PatchStatus(p.ctx, c.version, p.namespace, "run", c.patch)
			var status apierrors.APIStatus
			if !errors.As(err, &status) {
				t.Fatalf("got %v, want a denial", err)
			}
			if got := status.Status(); got.Code != c.code || !strings.Contains(got.Message, "guard.indelible.dev") || !strings.Contains(got.Message, c.reason) {
				t.Errorf("got %d %.300s, want %d by guard.indelible.dev with %q", got.Code, got.Message, c.code, c.reason)
			}
		})
	}
	p.release(own, "step-write")
	tr := p.taskRun("run")
	taskRunSucceeded(t, tr)
	wantResults(t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("true")})
}

// sleeper creates a pod of the namespace's default service account that is never scheduled, and returns its name.
func (p *place) sleeper(name string) string {
	p.t.Helper()
	_, err := cluster.Kube.CoreV1().Pods(p.namespace).Create(p.ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "indelible.dev/e2e"}}, // its token is all that matters
			Containers:      []corev1.Container{{Name: "none", Image: "none"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return name
}

// podWriter is the cluster as a pod sees it, or with no pod, as its service account.
func (p *place) podWriter(pod string) *harness.Cluster {
	p.t.Helper()
	token, err := cluster.BoundToken(p.ctx, p.namespace, "default", pod)
	if err != nil {
		p.t.Fatal(err)
	}
	as, err := cluster.WithToken(token)
	if err != nil {
		p.t.Fatal(err)
	}
	return as
}

func (p *place) impersonated(user string) *harness.Cluster {
	p.t.Helper()
	as, err := cluster.As(user, "system:serviceaccounts", "system:serviceaccounts:"+p.namespace, "system:authenticated")
	if err != nil {
		p.t.Fatal(err)
	}
	return as
}
