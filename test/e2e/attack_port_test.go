//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/test/harness"
)

// attackLength is long enough for some rounds of honest TaskRuns.
const attackLength = "45s"

// TestPortUnderAttack: a pod without rights, in a namespace of its own, attacks the port of every
// replica with some hundred clients: bodies that never arrive, or slowly, or nest deeply, large
// reviews, and connections. Meanwhile all TaskRuns publish and succeed. No replica restarts or
// comes near its memory limit.
func TestPortUnderAttack(t *testing.T) {
	p := newPlace(t)
	attacker := newAttacker(t)
	before := replicas(p)
	memory := watchMemory(p.ctx)
	var ended []<-chan string
	for _, replica := range before {
		ended = append(ended, attacker.start("-address="+replica.Status.PodIP+":9443", "-for="+attackLength))
	}
	rounds := 0
	for over := false; !over; rounds++ {
		round := newRound(p, rounds, 6)
		round.wantValues(t)
		select {
		case report := <-ended[0]:
			ended[0] = afterwards(report)
			over = true
		default:
		}
	}
	for i, report := range ended {
		wantAttacked(t, before[i].Name, <-report)
	}
	t.Logf("%d rounds of 6 TaskRuns published meanwhile", rounds)
	t.Log(memory.stop())
	limit := float64(before[0].Spec.Containers[0].Resources.Limits.Memory().Value())
	if memory.samples == 0 || memory.peak >= limit {
		t.Errorf("of %d looks one saw %.0f bytes of memory, the limit is %.0f", memory.samples, memory.peak, limit)
	}
	for i, replica := range replicas(p) {
		if replica.UID != before[i].UID ||
			replica.Status.ContainerStatuses[0].RestartCount != before[i].Status.ContainerStatuses[0].RestartCount {
			t.Errorf("replica %s was restarted", replica.Name)
		}
	}
}

func newRound(p *place, round, n int) publishers {
	p.t.Helper()
	b := publishers{p: p}
	for i := range n {
		name := fmt.Sprintf("round-%d-%d", round, i)
		b.names = append(b.names, name)
		p.create(strings.Replace(taskRunOf(`- {name: text}`, writeSample(burstBytes, "text")), "{name: run}",
			"{name: "+name+
				"}", 1))
	}
	return b
}

type publishers struct {
	p     *place
	names []string
}

func (b publishers) wantValues(t *testing.T) {
	t.Helper()
	for _, name := range b.names {
		tr := b.p.taskRun(name)
		taskRunSucceeded(t, tr)
		if len(tr.Status.Results) != 1 || tr.Status.Results[0].Value.StringVal != sample(burstBytes) {
			t.Errorf("TaskRun %s has other results than were written", name)
		}
	}
}

func afterwards(report string) <-chan string {
	c := make(chan string, 1)
	c <- report
	return c
}

// wantAttacked checks that each kind of client got exactly as far as it should.
func wantAttacked(t *testing.T, replica, report string) {
	t.Helper()
	t.Logf("%s: %s", replica, report)
	var answers map[string]map[string]int
	if err := json.Unmarshal([]byte(report), &answers); err != nil {
		t.Fatalf("the attacker's report %q: %v", report, err)
	}
	for client, want := range map[string]string{
		"bodies that do not come": "HTTP/1.1 408", "bodies that come slowly": "HTTP/1.1 408",
		"bodies that nest deeply": "200 OK",
		"large reviews":           "200 OK", "connections without TLS": "closed",
	} {
		if answers[client][want] == 0 {
			t.Errorf("%s: no %q for %s: %v", replica, want, client, answers[client])
		}
	}
}

// attacker is a pod without rights at the API server, in a namespace that did not opt in.
type attacker struct {
	*place
	pod string
}

func newAttacker(t *testing.T) *attacker {
	t.Helper()
	a := &attacker{place: newPlaceWith(t, nil), pod: "attacker"}
	none := false
	_, err := cluster.Kube.CoreV1().Pods(a.namespace).Create(a.ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: a.pod},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &none,
			Containers: []corev1.Container{{
				Name: "attacker", Image: harness.Image(), Command: []string{"sleep", "3600"},
				// With an unlimited CPU, the attacker would test the node's scheduler instead of
				// the webhook.
				Resources: corev1.ResourceRequirements{
					Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")},
				},
			}},
			TerminationGracePeriodSeconds: new(int64),
		},
	}, metav1.CreateOptions{})
	a.must(err)
	_, err = cluster.WaitPod(a.ctx, a.namespace, a.pod,
		func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
	a.must(err)
	a.copy(program(t, "../..", "./test/e2e/attacker"), "attacker")
	return a
}

func (a *attacker) copy(file, name string) {
	a.t.Helper()
	a.kubectl("cp", file, a.namespace+"/"+a.pod+":/tmp/"+name)
}

// start runs the attacker's program, and returns what it prints when it ends.
func (a *attacker) start(args ...string) <-chan string {
	out := make(chan string, 1)
	go func() {
		text, err := cluster.Kubectl(a.ctx, append([]string{"exec", "-n", a.namespace, a.pod, "--", "/tmp/attacker"},
			args...)...)
		if err != nil {
			text = err.Error()
		}
		out <- text
	}()
	return out
}

// forge sends a forged review to a path of every replica, and returns the answers.
func (a *attacker) forge(path, review string) []string {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), "review")
	a.must(os.WriteFile(file, []byte(review), 0o600))
	a.copy(file, "review")
	var answers []string
	for _, replica := range replicas(a.place) {
		answer := <-a.start("-address="+replica.Status.PodIP+":9443", "-path="+path, "-forge=/tmp/review")
		if !strings.HasPrefix(answer, "200 OK") {
			a.t.Errorf("%s of %s answers %s", path, replica.Name, answer)
		}
		answers = append(answers, answer)
	}
	return answers
}

// TestForgedReviews: a pod sends the webhook forged reviews. They are answered and have no other
// effect.
func TestForgedReviews(t *testing.T) {
	p := newPlace(t)
	a := newAttacker(t)
	victim := p.sleeper("victim-pod")
	controller := `"username":"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"`
	forged := func(user, object, stored string) string {
		return fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","operation":"UPDATE","namespace":%q,"name":"run",
			"kind":{"group":"tekton.dev","version":"v1","kind":"TaskRun"},"resource":{"group":"tekton.dev","version":"v1","resource":"taskruns"},"subResource":"status",
			"userInfo":{%s},"object":%s,"oldObject":%s}}`, p.namespace, user, object, stored)
	}
	stored := func(pod string) string {
		return fmt.Sprintf(
			`{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"namespace":%q,"name":"run","uid":"r-1"},"status":{"podName":%q}}`, p.namespace, pod)
	}
	failed := fmt.Sprintf(`{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"namespace":%q,"name":"run","uid":"r-1"},"status":{
		"conditions":[{"type":"Succeeded","status":"False","message":"x"}],
		"steps":[{"name":"s","terminated":{"message":"[{\"key\":\"indelible.dev/publish\",\"value\":\"words of the sender\"}]"}}]}}`, p.namespace)
	pod := func(name string) string {
		return fmt.Sprintf(`"username":"system:serviceaccount:%s:default","groups":["system:serviceaccounts"],"extra":{
			"authentication.kubernetes.io/pod-name":[%q],"authentication.kubernetes.io/pod-uid":["guessed"]}`, p.namespace, name)
	}
	for _, answer := range a.forge("/carry-over", forged(controller, failed, stored("victim-pod"))) {
		wantTexts(t, answer, `"patch"`)
	}
	for _, path := range []string{"/report", "/report/guessed", "/carry-over/guessed"} {
		a.forge(path, forged(`"username":"words of the sender"`, failed, stored("victim-pod")))
	}
	there := a.forge("/guard", forged(pod(victim), failed, stored(victim)))
	gone := a.forge("/guard", forged(pod("no-such"), failed, stored("no-such")))
	if got := strings.ReplaceAll(strings.Join(gone, ""), "no-such", victim); got != strings.Join(there, "") {
		t.Errorf("of a Pod that exists the guard says %q, of one that does not %q", there, gone)
	}

	// An event sent afterwards arrives afterwards, of the replica that sends it.
	p.create(waiting(`printf true > $(results.text.path)`))
	p.running("run", "step-write")
	if err := p.writeAs(p.podWriter(p.sleeper("forger")), `{"results":[{"name":"text","value":"x"}]}`); err == nil {
		t.Fatal("a forged result was stored")
	}
	p.events("run", "ResultsWriteDenied")
	events := p.kubectl("get", "events", "-n", p.namespace, "-o", "yaml")
	if strings.Contains(events, "words of the sender") || strings.Contains(events, "guessed") {
		t.Errorf("a forged review made an event:\n%s", events)
	}
}

// TestKeyedPaths: webhooks with failure policy Ignore have a key in their path, which is restored
// when removed. The guard's webhooks have none, because an API server quotes a webhook's URL to the
// requester if the call fails.
func TestKeyedPaths(t *testing.T) {
	p := newPlace(t)
	p.create(waiting(`printf true > $(results.text.path)`))
	own := p.podWriter(p.running("run", "step-write"))
	keyed := []string{"/carry-over", "/fit", "/inject", "/protect", "/report"}
	wantKeys := func() {
		t.Helper()
		p.eventually("a key in each path", func() (bool, error) {
			with, without := webhookPaths(p)
			slices.Sort(with)
			return slices.Equal(with, keyed) && !slices.ContainsFunc(without,
				func(path string) bool { return path != "/guard" && path != "/guard-elsewhere" }), nil
		})
	}
	wantKeys()
	p.kubectl("apply", "-k", "../../config/webhook")
	wantKeys()
	takeAway(p)
	err := p.writeAs(own, `{"results":[{"name":"text","value":"x"}]}`)
	if err == nil || !strings.Contains(err.Error(), "/guard?timeout=") {
		t.Errorf("got %v, want the URL of the guard", err)
	}
}

// webhookPaths are the first segments of the installed webhooks' paths, with and without a second
// one.
func webhookPaths(p *place) (with, without []string) {
	p.t.Helper()
	list, err := cluster.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().List(p.ctx,
		metav1.ListOptions{})
	p.must(err)
	for _, c := range list.Items {
		if !strings.HasPrefix(c.Name, "indelible-") {
			continue
		}
		for _, w := range c.Webhooks {
			if path, key, _ := strings.Cut((*w.ClientConfig.Service.Path)[1:], "/"); len(key) == 40 {
				with = append(with, "/"+path)
			} else {
				without = append(without, "/"+path)
			}
		}
	}
	return with, without
}
