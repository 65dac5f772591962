//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/result"
	"github.com/indelible-ci/indelible/test/harness"
)

// TestFaults breaks something while 24 TaskRuns (8 in the short form) publish 100 KB each. All must
// succeed with their own value: publishers wait until what they need is back.
// TestGuardAwayWhilePublishing does the same with a planned outage.
//
// Pods are created before the fault: one created while no webhook answers gets no publisher
// (TestInjectAway).
func TestFaults(t *testing.T) {
	for _, fault := range []struct {
		name string
		// first strikes before the steps end, which would otherwise finish before the fault shows.
		first func(*place)
		// strike strikes while they end, one after the other.
		strike func(*place)
		// felt: publishers must have met it, and say so in their steps' logs.
		felt bool
	}{
		{"one webhook replica after the other is killed", nil, killOneByOne, false},
		{"all webhook replicas are killed, twice", killAllTwice, func(p *place) { ready(p.t) }, true},
		{"the webhook's certificates are revoked and made anew, twice", nil,
			func(p *place) { revokeCertificates(p); revokeCertificates(p) }, false},
		{"the API server is killed and comes back", nil, restartAPIServer, true},
	} {
		t.Run(fault.name, func(t *testing.T) {
			p := newPlace(t)
			t.Cleanup(func() {
				ready(t)
				awaitInjection(p)
			})
			b := newBurst(p, often(24, 8), spread)
			b.wantInjected()
			if fault.first != nil {
				fault.first(p)
			}
			b.release()
			fault.strike(p)
			b.wantValues(t)
			retried := b.triedAgain()
			t.Logf("%d of %d publishers had to try again", retried, b.n)
			if fault.felt && retried == 0 {
				t.Error("no publisher met the fault: this run shows nothing")
			}
		})
	}
}

// spread makes the steps of a burst publish one after the other, within a few seconds of their
// release.
const spread = `until [ -e /tekton/home/go ]; do sleep 0.2; done
sleep $((${HOSTNAME//[!0-9]/} % 6))`

// wantInjected waits until every step runs, and has a publisher.
func (b burst) wantInjected() {
	b.p.t.Helper()
	for i := range b.n {
		wantInjected(b.p, b.p.running(burstName(i), "step-write"))
	}
}

// release lets all steps go on.
func (b burst) release() {
	b.p.t.Helper()
	errs := make(chan error, b.n)
	slots := make(chan struct{}, 4)
	for i := range b.n {
		go func() {
			slots <- struct{}{}
			_, err := cluster.Kubectl(b.p.ctx, "exec", burstName(i)+"-pod", "-n", b.p.namespace, "-c",
				"step-write", "--",
				"touch", "/tekton/home/go")
			<-slots
			errs <- err
		}()
	}
	for range b.n {
		if err := <-errs; err != nil {
			b.p.t.Fatal(err)
		}
	}
}

// triedAgain counts the publishers that said that they could not publish yet.
func (b burst) triedAgain() int {
	b.p.t.Helper()
	n := 0
	for i := range b.n {
		if strings.Contains(stepLog(b.p, burstName(i)+"-pod"), "cannot publish results yet") {
			n++
		}
	}
	return n
}

func stepLog(p *place, pod string) string {
	p.t.Helper()
	stream, err := cluster.Kube.CoreV1().Pods(p.namespace).GetLogs(pod,
		&corev1.PodLogOptions{Container: "step-write"}).Stream(p.ctx)
	if err != nil {
		p.t.Fatalf("reading the log of %s: %v", pod, err)
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	if err != nil {
		p.t.Fatalf("reading the log of %s: %v", pod, err)
	}
	return string(text)
}

// killOneByOne kills the webhook replicas' processes one after the other, each when the previous
// one runs again.
func killOneByOne(p *place) {
	p.t.Helper()
	for _, pod := range replicas(p) {
		killReplicas(p, pod)()
	}
}

// killAllTwice kills the processes of all webhook replicas, and when they run again, once more:
// this time the kubelet waits ten seconds before it starts them.
func killAllTwice(p *place) {
	p.t.Helper()
	killReplicas(p, replicas(p)...)()
	killReplicas(p, replicas(p)...)
}

// killReplicas kills webhook replicas with SIGKILL, so that requests in flight are not answered.
// The function it returns waits until they run again. Deleting a pod, even without a grace period,
// lets it finish requests.
func killReplicas(p *place, pods ...corev1.Pod) (wait func()) {
	p.t.Helper()
	there := &place{t: p.t, ctx: p.ctx, namespace: system}
	for _, pod := range pods {
		there.kill(pod.Name, "webhook", func(process) bool { return true }, syscall.SIGKILL)
	}
	return func() {
		p.t.Helper()
		for _, pod := range pods {
			_, err := cluster.WaitPod(p.ctx, system, pod.Name, func(now *corev1.Pod) bool {
				s := now.Status.ContainerStatuses[0]
				return s.Ready && s.RestartCount > pod.Status.ContainerStatuses[0].RestartCount
			})
			if err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// ready waits until the installation is whole. It has a time of its own, as it runs when a test has
// ended too.
func ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	if _, err := cluster.Kubectl(ctx, "rollout", "status", "deployment/"+deployment, "-n", system,
		"--timeout=180s"); err != nil {
		t.Errorf("the webhook did not come back: %v", err)
	}
}

// awaitInjection waits until new pods get a publisher: after its certificates were revoked, an API
// server may not trust a replica that is ready for some seconds more, and creates pods without
// asking.
func awaitInjection(p *place) {
	p.t.Helper()
	for i := 0; p.ctx.Err() == nil; i++ {
		name := fmt.Sprintf("probe-%d", i)
		p.create(strings.Replace(taskRunOf(`- {name: text}`, `printf probe > $(results.text.path)`), "{name: run}",
			"{name: "+
				name+"}", 1))
		if p.pod(p.ended(name).Status.PodName).Annotations[result.InjectedAnnotation] != "" {
			return
		}
	}
	p.t.Error("new pods get no publisher")
}

// revokeCertificates deletes the Secret with the CA and the serving certificate: all that was
// issued becomes worthless. It returns when a replica has made new ones; the other may serve with
// the old one for some seconds more.
func revokeCertificates(p *place) {
	p.t.Helper()
	const name = "indelible-webhook-certs"
	secrets := cluster.Kube.CoreV1().Secrets(system)
	err := secrets.Delete(p.ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		p.t.Skip("the installation has no certificates of its own")
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.kubectl("wait", "--for=create", "secret/"+name, "-n", system, "--timeout=60s")
}

func restartAPIServer(p *place) {
	p.t.Helper()
	local(p, "restart", "kube-apiserver")
}

// local does something to the local cluster, and skips the test on any other.
func local(p *place, args ...string) {
	p.t.Helper()
	err := cluster.Local(p.ctx, args...)
	if errors.Is(err, harness.ErrNotLocal) {
		p.t.Skipf("cluster %s: %v", strings.Join(args, " "), err)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// cut drops everything a pod sends to the API server, until the test ends or mend is called.
func cut(p *place, pod string) (mend func()) {
	p.t.Helper()
	ip := p.pod(pod).Status.PodIP
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := cluster.Local(ctx, "cut", "--mend", ip); err != nil && !errors.Is(err, harness.ErrNotLocal) {
			p.t.Errorf("mending the network of %s: %v", ip, err)
		}
	})
	local(p, "cut", ip)
	return func() { p.t.Helper(); local(p, "cut", "--mend", ip) }
}

func TestNetworkCutAndMended(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.create(waiting(writeSample(burstBytes, "text")))
	pod := p.running("run", "step-write")
	wantInjected(p, pod)
	mend := cut(p, pod)
	p.release(pod, "step-write")
	waitForLog(p, pod, "step-write", "cannot publish results yet: the API server at")
	mend()
	tr := p.taskRun("run")
	taskRunSucceeded(t, tr)
	wantResults(t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(sample(burstBytes))})
}

func networkCutForGood(p *place) {
	t := p.t
	p.create(waiting(writeSample(burstBytes, "text")))
	pod := p.running("run", "step-write")
	wantInjected(p, pod)
	cut(p, pod)
	p.release(pod, "step-write")
	tr := p.taskRun("run")
	failedWith(t, tr, `"step-write" exited with code 74`, "the API server at", "could not be asked", "20s")
	if got := tr.Status.Steps[0].TerminationReason; got != result.TerminationReasonNotPublished {
		t.Errorf("step write: terminationReason %q, want %q", got, result.TerminationReasonNotPublished)
	}
	wantResults(t, tr.Status.Results, nil)
}

// misleading is a patch that gives a pod's publisher another address for the API server, "" for a
// pod that has none.
func misleading(object []byte, address string) string {
	var pod corev1.Pod
	if json.Unmarshal(object, &pod) != nil {
		return ""
	}
	for i, c := range pod.Spec.Containers {
		if at := slices.Index(c.Args, "-server"); at >= 0 {
			return fmt.Sprintf(`[{"op":"replace","path":"/spec/containers/%d/args/%d","value":%q}]`, i, at+1, address)
		}
	}
	return ""
}

// TestAnswerLost breaks the connection after the API server has stored the results and before the
// publisher has the whole answer: it cannot know, writes them again, and that is allowed because
// they are the same.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	between, err := newBreaking(p.ctx)
	if err != nil {
		t.Skipf("needs a node that is this machine: %v", err)
	}
	misled := &otherWebhook{patchOf: func(pod []byte) string {
		return misleading(pod,
			net.JoinHostPort(between.host, between.port))
	}}
	misled.install(p, "z-"+p.namespace, podsCreated)
	p.eventually("pods to be misled", func() (bool, error) {
		_, err := cluster.Kube.CoreV1().Pods(p.namespace).Create(p.ctx, idlePod("probe"),
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return misled.saw("spec"), err
	})
	p.create(taskRunOf(`- {name: text}`, writeSample(burstBytes, "text")))
	want := map[string]*pipelinev1.ResultValue{"text": text(sample(burstBytes))}
	select {
	case <-between.broken:
	case <-p.ctx.Done():
		t.Fatal("the publisher never came to the proxy")
	}
	stored, err := cluster.TaskRun(p.ctx, p.namespace, "run")
	if err != nil {
		t.Fatal(err)
	}
	wantResults(t, stored.Status.Results, want)
	close(between.goOn)
	tr := p.taskRun("run")
	taskRunSucceeded(t, tr)
	wantResults(t, tr.Status.Results, want)
	if between.connections.Load() < 2 {
		t.Error("the publisher did not come again")
	}
}
