//go:build e2e

package e2e

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// scale sets the webhook's replicas and waits until there are that many and no others.
func scale(p *place, replicas string) {
	p.t.Helper()
	p.kubectl("scale", "deployment/"+deployment, "-n", system, "--replicas="+replicas)
	if replicas == "0" {
		p.kubectl("wait", "--for=delete", "pod", "-l", replicaLabel, "-n", system, "--timeout=120s")
		return
	}
	p.kubectl("rollout", "status", "deployment/"+deployment, "-n", system, "--timeout=120s")
}

// takeAway removes every webhook replica until the test ends.
func takeAway(p *place) {
	p.t.Helper()
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		back := &place{t: p.t, ctx: ctx, namespace: p.namespace}
		scale(back, "2")
	})
	scale(p, "0")
}

func TestGuardAwayWhilePublishing(t *testing.T) {
	p := newPlace(t)
	p.create(waiting(writeSample(80_000, "text")))
	pod := p.running("run", "step-write")
	wantInjected(p, pod)
	takeAway(p)
	p.release(pod, "step-write")
	// The publisher says on its step's log that it waits; only then does the guard come back.
	waitForLog(p, pod, "step-write", "indelible:")
	scale(p, "2")
	tr := p.taskRun("run")
	taskRunSucceeded(t, tr)
	wantResults(t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(sample(80_000))})
}

func waitForLog(p *place, pod, container, want string) {
	p.t.Helper()
	for p.ctx.Err() == nil {
		if strings.Contains(p.kubectl("logs", pod, "-n", p.namespace, "-c", container), want) {
			return
		}
		time.Sleep(200 * time.Millisecond) // between two looks at a log, which cannot be watched for a text
	}
	p.t.Fatalf("the log of %s never said %q", container, want)
}

// TestAwayForGood: what publishing needs does not return. The publisher gives up after its timeout
// and says why.
func TestAwayForGood(t *testing.T) {
	configure(&place{t: t}, "timeout", "20s")
	t.Run("the network", func(t *testing.T) { networkCutForGood(newPlace(t)) })
	t.Run("the guard", func(t *testing.T) { guardAwayForGood(newPlace(t)) })
}

func guardAwayForGood(p *place) {
	t := p.t
	p.create(waiting(writeSample(80_000, "text")))
	pod := p.running("run", "step-write")
	wantInjected(p, pod)
	takeAway(p)
	p.release(pod, "step-write")
	tr := p.taskRun("run")
	failedWith(t, tr, `"step-write" exited with code 74`)
	step := tr.Status.Steps[0]
	if step.TerminationReason != result.TerminationReasonNotPublished {
		t.Errorf("step write: terminationReason %q, want %q", step.TerminationReason,
			result.TerminationReasonNotPublished)
	}
	for _, want := range []string{"20s", "guard.indelible.dev"} {
		if !strings.Contains(step.Terminated.Message, want) {
			t.Errorf("step write: message %q does not contain %q", step.Terminated.Message, want)
		}
	}
	// Nothing could put it into the condition, but describing the TaskRun shows it.
	wantTexts(t, p.kubectl("describe", "taskrun", "run", "-n", p.namespace), `result \"text\" is 80000 bytes`,
		"guard.indelible.dev", "20s")
}

// TestInjectAway: pods created while no webhook runs behave as in plain Tekton, for better or
// worse.
func TestInjectAway(t *testing.T) {
	p := newPlace(t)
	takeAway(p)
	wantPlainTekton(p)
}

// wantPlainTekton checks that Tekton works as it does alone: small results pass, larger ones fail
// the step.
func wantPlainTekton(p *place) {
	p.t.Helper()
	for name, bytes := range map[string]int{"small": 5, "large": 4097} {
		p.create(strings.Replace(taskRunOf(`- {name: text}`, writeSample(bytes, "text")), "{name: run}",
			"{name: "+name+"}",
			1))
	}
	small, large := p.ended("small"), p.ended("large")
	taskRunSucceeded(p.t, small)
	wantResults(p.t, small.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(sample(5))})
	wantUntouched(p, small.Status.PodName)
	failedWith(p.t, large, `"step-write" exited with code 1`)
}

// TestUninstall removes Indelible as its README says and finds plain Tekton, runs that can be
// deleted, and, after it is installed again, the archive as it was.
func TestUninstall(t *testing.T) {
	p := newLongPlace(t, 2*bound)
	t.Cleanup(func() {
		if t.Failed() { // else it is installed again
			install(p)
		}
	})
	runsInAllStates(p)
	p.make("uninstall")
	if held := p.held(); len(held) > 0 {
		t.Errorf("still held: %q", held)
	}
	p.kubectl("delete", "taskruns,pipelineruns,customruns", "--all", "-n", p.namespace, "--timeout=60s")
	wantPlainTekton(p)

	left := p.kubectl("api-resources", "--verbs=list", "--namespaced=false", "-o", "name")
	for _, kind := range strings.Fields(left) {
		if strings.HasPrefix(kind, "componentstatuses") {
			continue
		}
		for _, name := range installed.FindAllString(p.kubectl("get", kind, "-o", "name"), -1) {
			t.Errorf("left behind: %s", name)
		}
	}
	const kinds = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,resourcequotas,persistentvolumeclaims"
	inside := notOurs.ReplaceAllString(p.kubectl("get", kinds, "-n", system, "-o", "name"), "")
	if strings.TrimSpace(inside) != "persistentvolumeclaim/indelible-archive" {
		t.Errorf("left behind in the namespace, beside the archive:\n%s", inside)
	}
	install(p)
	wantArchived(p)
}

// notOurs is what Kubernetes puts into every namespace.
var notOurs = regexp.MustCompile(`(?m)^(configmap/kube-root-ca\.crt|serviceaccount/default)$`)

// installed matches the names under config but for the archive's namespace; a node or a demo's
// namespace may be called indelible-something too.
var installed = regexp.MustCompile(
	`(?m)^.*/indelible-(?:webhook.*|archiver|results|pods|guard|inject|protect|publish-results)$`)

// install installs Indelible as a user would, whatever the state of the test.
func install(p *place) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	back := &place{t: p.t, ctx: ctx, namespace: p.namespace}
	back.make("install")
	awaitSelfChecks(back)
}
