//go:build e2e

package e2e

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelinev1beta1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"

	"github.com/indelible-ci/indelible/test/harness"
)

// newAttackStage makes the TaskRuns under attack and those who attack them.
func newAttackStage(t *testing.T) *stage {
	t.Helper()
	s := newStage(newPlace(t))
	const results = `"results":[{"name":"text","type":"string","value":"x"},{"name":"list","type":"array","value":["a","b"]}]`
	published := s.makeTaskRun("published", results+`,"steps":[{"name":"build","container":"step-build","imageID":"i","waiting":{"reason":"w"},
	  "results":[{"name":"digest","type":"string","value":"d"}]}]`)
	fresh := s.makeTaskRun("fresh", ``)
	s.makePlain("plain")
	s.makeTaskRun("silent", ``)
	s.must(s.send(s.writers["silent-pod"], "taskruns/silent/status", asMergePatch(`{}`), false))
	s.makeTaskRun("unstarted", `"podName":""`)
	s.makeTaskRun("finished", results+`,"completionTime":"2026-01-02T03:05:00Z"`)
	s.makeTaskRun("failed", results+
		`,"conditions":[{"type":"Succeeded","status":"False","lastTransitionTime":"2026-01-02T03:04:05Z"}]`)
	s.makeTaskRun("retried", `"podName":"retried-pod-retry1","retriesStatus":[{"podName":"retried-pod"}]`)
	s.makeTaskRun("computed", `"taskSpec":{"results":[{"name":"text","type":"string","value":"$(steps.build.results.digest)"}],
	  "steps":[{"name":"build","image":"none","results":[{"name":"digest","type":"string"}]}]}`)
	s.makeTaskRun("bulky", `"taskSpec":{"description":"`+strings.Repeat("d", 450_000)+
		`","results":[{"name":"text","type":"string"}]}`)
	s.makeTaskRun("borrowed", `"podName":"published-pod"`) // as if it had been deleted and created again under its name
	s.makeTaskRun("recreated", ``)
	s.recreatePod("recreated-pod")
	s.writers["another pod"] = s.podWriter(s.sleeper("forger"))
	s.writers["the service account without a pod"] = s.podWriter("")
	rivals := newPlace(t)
	s.writers["a pod of the same name in another namespace"] = rivals.podWriter(rivals.sleeper("published-pod"))
	s.outside = newStage(newPlaceWith(t, nil))
	s.outside.makeTaskRun("published", results)
	s.writers["a person with edit rights"] = s.person()
	s.impersonators(published, fresh)
	s.otherRuns()
	s.realRun()
	return s
}

// recreatePod deletes a pod and creates another of its name, as a user with edit rights.
func (s *stage) recreatePod(name string) {
	s.t.Helper()
	s.writers["the pod that was deleted"] = s.writers[name]
	now := int64(0)
	s.must(cluster.Kube.CoreV1().Pods(s.namespace).Delete(s.ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	s.writers[name] = s.podWriter(s.sleeper(name))
}

// person has all rights that can be granted on TaskRuns, Pods and Deployments in this namespace.
func (s *stage) person() *harness.Cluster {
	s.t.Helper()
	const name = "e2e-person"
	s.grant(rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name},
		rbacv1.PolicyRule{APIGroups: []string{"tekton.dev", "", "apps"}, Resources: []string{"*"},
			Verbs: []string{"*"}})
	as, err := cluster.As(name, "system:authenticated")
	s.must(err)
	return as
}

// impersonators have the right to impersonate and pretend to be the service account of a TaskRun's
// pod, with all or some of the extra values of a bound token.
func (s *stage) impersonators(run, fresh *pipelinev1.TaskRun) {
	s.t.Helper()
	const name, uid = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
	pod := s.pod(run.Status.PodName)
	own, ownUID := []string{pod.Name}, []string{string(pod.UID)}
	freshPod := s.pod(fresh.Status.PodName)
	for who, extra := range map[string]map[string][]string{
		"the service account, impersonated":                        nil,
		"the service account, impersonated with a pod's name":      {name: own},
		"the service account, impersonated with two pods' names":   {name: {pod.Name, "forger"}, uid: ownUID},
		"the service account, impersonated with a name and no UID": {name: own, uid: {""}},
		"the service account, impersonated with a name and another's UID": {name: {freshPod.Name},
			uid: {"00000000-0000-0000-0000-000000000000"}},
		"the service account, impersonated with a pod's name and UID": {
			name: {freshPod.Name}, uid: {string(freshPod.UID)},
		},
	} {
		s.impersonate(who, "system:serviceaccount:"+s.namespace+":default", extra)
	}
	s.impersonate("a user who is in the group of service accounts", "mallory",
		map[string][]string{name: own, uid: ownUID})
	s.writers["the trusted controller, impersonated"] = s.writers["controller"]
}

func (s *stage) impersonate(who, user string, extra map[string][]string) {
	s.t.Helper()
	as, err := cluster.Impersonate(rest.ImpersonationConfig{
		UserName: user, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + s.namespace,
			"system:authenticated"}, Extra: extra,
	})
	s.must(err)
	s.writers[who] = as
}

// otherRuns are objects of other kinds whose status a pod might want.
func (s *stage) otherRuns() {
	s.t.Helper()
	s.create(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: pipeline}
spec:
  managedBy: indelible.dev/e2e
  pipelineSpec:
    tasks: [{name: build, taskRef: {name: none}}]
`)
	_, err := cluster.Tekton.TektonV1beta1().CustomRuns(s.namespace).Create(s.ctx, &pipelinev1beta1.CustomRun{
		ObjectMeta: metav1.ObjectMeta{Name: "custom"},
		Spec: pipelinev1beta1.CustomRunSpec{CustomRef: &pipelinev1beta1.TaskRef{APIVersion: "e2e.indelible.dev/v1",
			Kind: "None"}},
	}, metav1.CreateOptions{})
	s.must(err)
}

// realRun is the TaskRun run, which Tekton runs: its pod has published the result text, may publish
// late, and waits.
func (s *stage) realRun() {
	s.t.Helper()
	s.create(taskRunOf("- {name: text}\n- {name: late}", `
printf true > $(results.text.path)
until [ -e /tekton/home/go ]; do sleep 0.2; done`))
	pod := s.running("run", "step-write")
	// From here on the controller has nothing to write until the step ends.
	_, err := cluster.WaitTaskRun(s.ctx, s.namespace, "run", func(tr *pipelinev1.TaskRun) bool {
		return len(tr.Status.Steps) == 1 && tr.Status.Steps[0].Running != nil
	})
	s.must(err)
	publishAs(s.place, pod, "true")
	s.writers[pod] = s.podWriter(pod)
}
