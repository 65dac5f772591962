//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The guard identifies a TaskRun's pod by its controlling owner reference. These rows try to forge
// it, or do what must keep working. The guard's webhook is not involved: the policy indelible-pods
// decides.

const onlyTheController = "only Tekton's controller makes a pod that a TaskRun controls"

func byPodPolicy() outcome {
	return outcome{by: "ValidatingAdmissionPolicy 'indelible-pods'", code: 403, text: onlyTheController}
}

// podCreation is a row in which a requester creates a pod.
type podCreation struct {
	name, who string
	pod       *corev1.Pod
	want      outcome
}

func podCreations(owner *pipelinev1.TaskRun) []podCreation {
	controlling, pipeline, foreign, plain := controlledBy(owner), controlledBy(owner), controlledBy(owner),
		controlledBy(owner)
	pipeline.Kind, foreign.APIVersion, plain.Controller = "PipelineRun", "example.com/v1", nil
	labelled := map[string]string{"tekton.dev/taskRun": owner.Name}
	with := func(labels map[string]string, owners ...metav1.OwnerReference) *corev1.Pod {
		pod := idlePod("created", owners...)
		pod.Labels = labels
		return pod
	}
	version := func(v string) metav1.OwnerReference {
		o := controlling
		o.APIVersion = v
		return o
	}
	tooMany := make([]metav1.OwnerReference, 1001)
	for i := range tooMany {
		tooMany[i] = metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "none",
			UID: types.UID(strconv.Itoa(i))}
	}
	const person = "a person with edit rights"
	return []podCreation{
		{"forbid a person to create a pod with a TaskRun's label and controller reference", person,
			with(labelled, controlling), byPodPolicy()},
		{"forbid a cluster administrator to create a pod that a TaskRun controls", "person",
			with(labelled, controlling),
			byPodPolicy()},
		{"forbid a person to create a pod that a TaskRun of v1beta1 controls", person,
			with(nil, version("tekton.dev/v1beta1")), byPodPolicy()},
		{"forbid a person to create a pod that a TaskRun of any version controls", person,
			with(nil, version("tekton.dev/v9")), byPodPolicy()},
		{"forbid a person to create a pod that a TaskRun controls beside other owners", person,
			with(nil, plain, controlling),
			byPodPolicy()},
		{"forbid a pod with more owners than the policy looks at", person, with(nil, tooMany...),
			outcome{by: "ValidatingAdmissionPolicy 'indelible-pods'", code: 403, text: "more than 1000"}},
		{"allow a pod with a TaskRun's label alone", person, with(labelled),
			passes("it gets the publisher, and the guard refuses what that publishes")},
		{"allow a pod that a TaskRun owns without controlling it", person, with(nil, plain),
			passes("it goes with the TaskRun, and is nobody's pod for the guard")},
		{"allow a pod that a PipelineRun controls", person, with(labelled, pipeline), passes("as before")},
		{"allow a pod that a TaskRun of another API group controls", person, with(nil, foreign),
			passes("it is no TaskRun of Tekton's")},
		{"allow the trusted controller to create a pod that a TaskRun controls", "controller",
			with(labelled, controlling),
			passes("it is what it does")},
	}
}

// podChanges are rows about existing pods: plain has no owner; attached has a TaskRun that does not
// control it; foreign and unkind are controlled by something of the same name; owner-pod is the pod
// of the TaskRun owner.
func podChanges(owner, other *pipelinev1.TaskRun) []attack {
	const person = "a person with edit rights"
	owners := func(list ...metav1.OwnerReference) string {
		value, err := json.Marshal(list)
		if err != nil {
			panic(err)
		}
		return change(add("/metadata/ownerReferences", string(value)))
	}
	again, unblocked, renamed := controlledBy(owner), controlledBy(owner), controlledBy(owner)
	again.UID = other.UID
	unblocked.BlockOwnerDeletion = nil
	renamed.Name = other.Name
	patches := []encoding{mergePatch, strategicPatch}
	replacing := []encoding{mergePatch, jsonPatch, put} // the others merge lists of owners
	kept := outcome{why: "the API server keeps a pod's owners in a write to this subresource"}
	return []attack{
		{name: "forbid a person to make a TaskRun the controller of a pod", who: person, at: "pods/plain",
			change: owners(controlledBy(owner)), guard: byPodPolicy()},
		{name: "forbid a cluster administrator to make a TaskRun the controller of a pod", who: "person",
			at:     "pods/plain",
			change: owners(controlledBy(owner)), guard: byPodPolicy()},
		{name: "forbid a person to turn an owner into the controller", who: person, at: "pods/attached",
			change: change(add("/metadata/ownerReferences/0/controller", "true")), guard: byPodPolicy()},
		{name: "forbid a person to give a TaskRun's pod to another TaskRun", who: person, at: "pods/owner-pod",
			change: owners(controlledBy(other)),
			in:     replacing, guard: byPodPolicy()},
		{name: "forbid a person to give a TaskRun's pod to another TaskRun of its name", who: person,
			at:     "pods/owner-pod",
			change: owners(again),
			in:     replacing, guard: byPodPolicy()},
		{name: "forbid a person to make a TaskRun of a controller in another API group", who: person,
			at:     "pods/foreign",
			change: owners(controlledBy(owner)),
			in:     replacing, guard: byPodPolicy()},
		{name: "forbid a person to make a TaskRun of a controller of another kind", who: person, at: "pods/unkind",
			change: owners(controlledBy(owner)),
			in:     replacing, guard: byPodPolicy()},
		{name: "forbid a person to change the name in a controller reference", who: person, at: "pods/owner-pod",
			change: owners(renamed), guard: byPodPolicy()},
		{name: "forbid a person to add an owner by a pod's status", who: person, at: "pods/plain/status",
			change: owners(controlledBy(owner)), in: patches, guard: kept},
		{name: "forbid a person to add an owner by a pod's ephemeral containers", who: person,
			at: "pods/plain/ephemeralcontainers", change: owners(controlledBy(owner)), in: patches, guard: kept},
		{name: "forbid a person to add an owner by resizing a pod", who: person, at: "pods/plain/resize",
			change: owners(controlledBy(owner)), in: patches, guard: kept},
		{name: "allow a person to label a TaskRun's pod", who: person, at: "pods/owner-pod",
			change: change(add("/metadata/labels", `{"a":"b"}`)), guard: passes("the references stay")},
		{name: "allow anybody to remove a controller reference", who: "person", at: "pods/owner-pod",
			change: change(remove("/metadata/ownerReferences")),
			in:     replacing, guard: passes("the garbage collector does, where dependents are orphaned")},
		{name: "allow the garbage collector to unblock an owner's deletion", who: "person", at: "pods/owner-pod",
			change: owners(unblocked),
			in:     replacing, guard: passes("the reference stays the TaskRun's")},
	}
}

var podEncodings = []encoding{mergePatch, jsonPatch, strategicPatch, serverSideApply, put}

func TestForgedPods(t *testing.T) {
	s := newStage(newPlace(t))
	s.writers["a person with edit rights"] = s.person()
	owner, other := s.makeTaskRun("owner", ``), s.makeTaskRun("other", ``)
	s.sleeper("plain")
	attached, foreign, unkind := controlledBy(owner), controlledBy(owner), controlledBy(owner)
	attached.Controller, foreign.APIVersion, unkind.Kind = nil, "example.com/v1", "Other"
	for name, owner := range map[string]metav1.OwnerReference{"attached": attached, "foreign": foreign,
		"unkind": unkind} {
		_, err := cluster.Kube.CoreV1().Pods(s.namespace).Create(s.ctx, idlePod(name, owner), metav1.CreateOptions{})
		s.must(err)
	}
	for _, c := range podCreations(owner) {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.writers[c.who].Kube.CoreV1().Pods(s.namespace).Create(s.ctx, c.pod,
				metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			wantOutcome(t, err, c.want)
		})
	}
	for _, a := range podChanges(owner, other) {
		a.api = coreV1
		t.Run(a.name, func(t *testing.T) {
			for _, e := range podEncodings {
				if a.takes(e) {
					t.Run(string(e), func(t *testing.T) { s.try(t, a, a.guard, e) })
				}
			}
		})
	}
}

// TestPodsGoOn: everyday creation, change and deletion of pods is not affected.
func TestPodsGoOn(t *testing.T) {
	t.Run("allow a Deployment whose pods have a TaskRun's label", func(t *testing.T) {
		p := newPlace(t)
		labels := map[string]string{"tekton.dev/taskRun": "run", "app": "e2e"}
		_, err := cluster.Kube.AppsV1().Deployments(p.namespace).Create(p.ctx, &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "labelled"},
			Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: idlePod("").Spec},
			},
		}, metav1.CreateOptions{})
		p.must(err)
		p.kubectl("wait", "--for=jsonpath={.status.replicas}=1", "deployment/labelled", "-n", p.namespace,
			"--timeout=60s")
	})
	for _, c := range []struct {
		policy metav1.DeletionPropagation
		stays  bool
	}{{metav1.DeletePropagationBackground, false}, {metav1.DeletePropagationForeground, false},
		{metav1.DeletePropagationOrphan, true}} {
		t.Run(fmt.Sprintf("allow the garbage collector its work after the deletion of a TaskRun, %s", c.policy),
			func(t *testing.T) {
				t.Parallel()
				p := newPlace(t)
				p.create(taskRunOf(`- {name: text}`, writeSample(5, "text")))
				tr := p.taskRun("run")
				taskRunSucceeded(t, tr)
				p.must(cluster.Tekton.TektonV1().TaskRuns(p.namespace).Delete(p.ctx, "run",
					metav1.DeleteOptions{PropagationPolicy: &c.policy}))
				p.kubectl("wait", "--for=delete", "taskrun/run", "-n", p.namespace, "--timeout=120s")
				if c.stays {
					if pod := p.pod(tr.Status.PodName); len(pod.OwnerReferences) != 0 {
						t.Errorf("the orphaned pod still has owners: %v", pod.OwnerReferences)
					}
					return
				}
				p.kubectl("wait", "--for=delete", "pod/"+tr.Status.PodName, "-n", p.namespace, "--timeout=120s")
				if _, err := cluster.Kube.CoreV1().Pods(p.namespace).Get(p.ctx, tr.Status.PodName,
					metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					t.Errorf("the TaskRun's pod is still there: %v", err)
				}
			})
	}
}
