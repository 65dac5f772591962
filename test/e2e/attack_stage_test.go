//go:build e2e

package e2e

import (
	"encoding/json"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/result"
	"github.com/indelible-ci/indelible/test/harness"
)

// stage is a namespace with TaskRuns whose status the test controls, their pods, and requesters.
//
// The TaskRuns name another controller in spec.managedBy, so Tekton's leaves them alone. Their pods
// exist, for tokens to be bound to, and are controlled by them, but are never scheduled.
type stage struct {
	*place
	writers map[string]*harness.Cluster
	outside *stage // another, in a namespace that has not opted in
}

// newStageWithoutGrant leaves service accounts with what config/rbac grants them.
func newStageWithoutGrant(p *place) *stage {
	p.t.Helper()
	p.give(4 * bound) // a table is a thousand flows
	controller, err := cluster.As("system:serviceaccount:tekton-pipelines:tekton-pipelines-controller",
		"system:serviceaccounts", "system:serviceaccounts:tekton-pipelines", "system:authenticated")
	p.must(err)
	return &stage{place: p, writers: map[string]*harness.Cluster{"person": cluster, "controller": controller}}
}

func newStage(p *place) *stage {
	p.t.Helper()
	s := newStageWithoutGrant(p)
	s.grant(rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:serviceaccounts"},
		rbacv1.PolicyRule{APIGroups: []string{"tekton.dev"}, Resources: []string{"taskruns/status"},
			Verbs: []string{"patch", "update"}})
	return s
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// grant gives rights in this namespace. All service accounts have those of the ClusterRole in
// config/rbac, and PATCH, which it does not grant: a wider role must not be a way around the guard.
func (s *stage) grant(to rbacv1.Subject, rules ...rbacv1.PolicyRule) {
	s.t.Helper()
	name := metav1.ObjectMeta{GenerateName: "e2e-", Namespace: s.namespace}
	role, err := cluster.Kube.RbacV1().Roles(s.namespace).Create(s.ctx, &rbacv1.Role{ObjectMeta: name, Rules: rules},
		metav1.CreateOptions{})
	s.must(err)
	_, err = cluster.Kube.RbacV1().RoleBindings(s.namespace).Create(s.ctx, &rbacv1.RoleBinding{
		ObjectMeta: name,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{to},
	}, metav1.CreateOptions{})
	s.must(err)
}

// makeTaskRun makes a TaskRun, its pod <name>-pod and a writer with that pod's name and token.
// fields are those of its status that differ from a run in progress.
func (s *stage) makeTaskRun(name, fields string) *pipelinev1.TaskRun {
	s.t.Helper()
	s.create(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: ` + name + `}
spec:
  managedBy: indelible.dev/e2e
  taskSpec:
    results: [{name: text}, {name: list, type: array}, {name: map, type: object, properties: {a: {type: string}}}, {name: late}]
    steps: [{name: build, image: none, script: "true"}]
`)
	status := map[string]any{}
	s.must(json.Unmarshal([]byte(`{"podName":"`+name+`-pod","startTime":"2026-01-02T03:04:05Z",
	  "conditions":[{"type":"Succeeded","status":"Unknown","lastTransitionTime":"2026-01-02T03:04:05Z"}],
	  "steps":[{"name":"build","container":"step-build","imageID":"i","waiting":{"reason":"w"}}],
	  "taskSpec":{"results":[{"name":"text","type":"string"},{"name":"list","type":"array"},
	      {"name":"map","type":"object","properties":{"a":{"type":"string"}}},{"name":"late","type":"string"}],
	    "steps":[{"name":"build","image":"none","results":[{"name":"digest","type":"string"}]},{"name":"sign","image":"none","results":[{"name":"sig","type":"string"}]}]}}`), &status))
	s.must(json.Unmarshal([]byte(`{`+fields+`}`), &status))
	body, err := json.Marshal(status)
	s.must(err)
	tr := s.patchAsController(name, string(body))
	s.makePodOf(tr, name+"-pod")
	return tr
}

// patchAsController merges into a TaskRun's status as Tekton's controller.
func (s *stage) patchAsController(name, status string) *pipelinev1.TaskRun {
	s.t.Helper()
	tr, err := s.writers["controller"].Tekton.TektonV1().TaskRuns(s.namespace).Patch(s.ctx, name, types.MergePatchType,
		[]byte(`{"status":`+status+`}`), metav1.PatchOptions{}, "status")
	s.must(err)
	return tr
}

// makePlain makes a TaskRun whose pod has no publisher, as plain Tekton's.
func (s *stage) makePlain(name string) {
	s.t.Helper()
	tr := s.makeTaskRun(name, ``)
	pods := s.writers["controller"].Kube.CoreV1().Pods(s.namespace)
	now := int64(0)
	s.must(pods.Delete(s.ctx, name+"-pod", metav1.DeleteOptions{GracePeriodSeconds: &now}))
	pod := idlePod(name+"-pod", controlledBy(tr))
	pod.Spec.Containers[0].Command = []string{"/tekton/bin/entrypoint"}
	_, err := pods.Create(s.ctx, pod, metav1.CreateOptions{})
	s.must(err)
	s.writers[name+"-pod"] = s.podWriter(name + "-pod")
}

// makePodOf makes a pod as Tekton's controller would, and the writer of its name.
func (s *stage) makePodOf(tr *pipelinev1.TaskRun, name string) {
	s.t.Helper()
	_, err := s.writers["controller"].Kube.CoreV1().Pods(s.namespace).Create(s.ctx, idlePod(name, controlledBy(tr)),
		metav1.CreateOptions{})
	s.must(err)
	s.writers[name] = s.podWriter(name)
}

func controlledBy(tr *pipelinev1.TaskRun) metav1.OwnerReference {
	return *metav1.NewControllerRef(tr, pipelinev1.SchemeGroupVersion.WithKind("TaskRun"))
}

// idlePod is a pod that is never scheduled: only its name, owners and token matter.
func idlePod(name string, owners ...metav1.OwnerReference) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "indelible.dev/e2e"}},
			Containers: []corev1.Container{
				{Name: "step-build", Image: "none", Command: []string{result.PublisherPath}},
			},
		},
	}
}

// sleeper creates an idle pod of the namespace's default service account, and returns its name.
func (p *place) sleeper(name string) string {
	p.t.Helper()
	_, err := cluster.Kube.CoreV1().Pods(p.namespace).Create(p.ctx, idlePod(name), metav1.CreateOptions{})
	p.must(err)
	return name
}

// podWriter is the cluster as a pod sees it, or with no pod, as its service account.
func (p *place) podWriter(pod string) *harness.Cluster {
	p.t.Helper()
	token, err := cluster.BoundToken(p.ctx, p.namespace, "default", pod)
	p.must(err)
	as, err := cluster.WithToken(token)
	p.must(err)
	return as
}
