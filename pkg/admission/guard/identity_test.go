package guard

import (
	"fmt"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const publish = `{"status":{"results":[{"name":"text","value":"v"}]}}`

func TestWhoMayPublish(t *testing.T) {
	twoPods := podUser("team", "build-pod", "pod-uid")
	twoPods.Extra[extraPodName] = authenticationv1.ExtraValue{"build-pod", "other-pod"}
	noUID := podUser("team", "build-pod", "pod-uid")
	delete(noUID.Extra, extraPodUID)
	inGroup := authenticationv1.UserInfo{Username: "mallory", Groups: []string{"system:serviceaccounts"},
		Extra: ownPod.Extra}
	oddName := podUser("team", "build-pod", "pod-uid")
	oddName.Username = "system:serviceaccount:team:default:x"
	personWithPod := authenticationv1.UserInfo{Username: "ada", Extra: ownPod.Extra}

	pods := func(change func(fakePods)) fakePods {
		p := livePods()
		change(p)
		return p
	}
	tests := []struct {
		name string
		user authenticationv1.UserInfo
		pods fakePods
		code int32 // 0: allowed
		rule string
		text string
	}{
		{name: "allow the run's own pod", user: ownPod, pods: livePods()},
		{name: "forbid another pod of the namespace", user: otherPod, pods: livePods(), code: 403, rule: "identity",
			text: `Pod "other-pod" is not the TaskRun's pod`},
		{name: "forbid a pod of the same name in another namespace", user: podUser("rivals", "build-pod", "pod-uid"),
			pods: livePods(), code: 403, rule: "identity", text: "another namespace"},
		{name: "forbid a service account outside any pod", user: unboundAccount, pods: livePods(), code: 403,
			rule: "identity", text: "not bound to a pod"},
		{name: "forbid a token with two pod names", user: twoPods, pods: livePods(), code: 403, rule: "identity",
			text: "not bound to a pod"},
		{name: "forbid a token without the pod's UID", user: noUID, pods: livePods(), code: 403, rule: "identity",
			text: "not bound to a pod"},
		{name: "forbid a member of the service accounts' group with a pod but another user name", user: inGroup,
			pods: livePods(), code: 403, rule: "identity", text: "not bound to a pod"},
		{name: "forbid a service account whose name has too many parts", user: oddName, pods: livePods(), code: 403,
			rule: "identity", text: "not bound to a pod"},
		{name: "forbid a person, also with a pod in the request", user: personWithPod, pods: livePods(), code: 403,
			rule: "others", text: "only the TaskRun's own pod"},
		{name: "forbid a person", user: person, pods: livePods(), code: 403, rule: "others",
			text: "only the TaskRun's own pod"},
		{name: "forbid a pod that is gone", user: ownPod, pods: fakePods{}, code: 403, rule: "identity",
			text: "no longer exists"},
		{name: "forbid the token of a pod that was created again under its name", user: ownPod,
			pods: fakePods{"build-pod": taskRunPod("build-pod", "new-uid", "run-uid")}, code: 403, rule: "identity",
			text: "no longer exists with the UID"},
		{name: "forbid the pod of a TaskRun that was created again under its name", user: ownPod,
			pods: fakePods{"build-pod": taskRunPod("build-pod", "pod-uid", "old-run-uid")}, code: 403, rule: "identity",
			text: "not controlled by this TaskRun"},
		{name: "forbid a pod without an owner", user: ownPod,
			pods: pods(func(p fakePods) { p["build-pod"].OwnerReferences = nil }), code: 403, rule: "identity",
			text: "not controlled"},
		{name: "forbid a pod that the TaskRun owns but does not control", user: ownPod,
			pods: pods(func(p fakePods) { p["build-pod"].OwnerReferences[0].Controller = nil }), code: 403,
			rule: "identity",
			text: "not controlled"},
		{name: "forbid a pod controlled by another kind with the same UID", user: ownPod,
			pods: pods(func(p fakePods) { p["build-pod"].OwnerReferences[0].Kind = "PipelineRun" }), code: 403,
			rule: "identity",
			text: "not controlled"},
		{name: "forbid a pod controlled by a TaskRun of another group", user: ownPod,
			pods: pods(func(p fakePods) { p["build-pod"].OwnerReferences[0].APIVersion = "evil.dev/v1" }), code: 403,
			rule: "identity", text: "not controlled"},
		{name: "forbid a pod controlled by another name", user: ownPod,
			pods: pods(func(p fakePods) { p["build-pod"].OwnerReferences[0].Name = "other" }), code: 403,
			rule: "identity",
			text: "not controlled"},
		{name: "forbid, for now, while the Pod cannot be read", user: ownPod, pods: nil, code: 503, rule: "identity",
			text: "try again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.options.Pods = tt.pods
			resp, _ := b.guard(tt.user, running, mergePatch(t, running, publish))
			if tt.code != 0 {
				b.wantDenied(resp, tt.code, tt.rule, tt.text)
			} else if !resp.Allowed {
				t.Errorf("denied: %s", resp.Result.Message)
			}
		})
	}
}

func TestTheStoredObjectSaysWhichTaskRunItIs(t *testing.T) {
	b := newBench(t)
	stored := mergePatch(t, running, `{"metadata":{"uid":null}}`)
	b.options.Pods = fakePods{"build-pod": taskRunPod("build-pod", "pod-uid", "")}
	resp, _ := b.guard(ownPod, stored, mergePatch(t, stored, publish))
	b.wantDenied(resp, 403, "identity", "not controlled by this TaskRun")
}

// Crosses operation, resource and writer. Only updates of taskruns/status in v1 are decided by the
// other rules.
func TestScope(t *testing.T) {
	type resource struct {
		group, version, resource, subresource string
	}
	status := resource{"tekton.dev", "v1", "taskruns", "status"}
	resources := []resource{
		status,
		{"tekton.dev", "v1beta1", "taskruns", "status"},
		{"tekton.dev", "v1", "taskruns", ""},
		{"tekton.dev", "v1", "pipelineruns", "status"},
		{"evil.dev", "v1", "taskruns", "status"},
		{"", "v1", "pods", ""},
	}
	writers := map[string]authenticationv1.UserInfo{
		"the controller": trustedController, "a pod": ownPod, "a service account": unboundAccount, "a person": person,
	}
	for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update, admissionv1.Delete,
		admissionv1.Connect} {
		for _, r := range resources {
			for who, user := range writers {
				if r == status && operation == admissionv1.Update {
					continue
				}
				taskRunStatus := r.group == "tekton.dev" && r.resource == "taskruns" && r.subresource == "status"
				allow := who == "the controller" || who == "a person" && !taskRunStatus
				verb := map[bool]string{true: "allow", false: "forbid"}[allow]
				t.Run(fmt.Sprintf("%s %s to %s %s.%s/%s %s", verb, who, operation, r.resource, r.group, r.version,
					r.subresource),
					func(t *testing.T) {
						b := newBench(t)
						req := request(user, running, mergePatch(t, running, publish))
						req.Operation = operation
						req.Resource = metav1.GroupVersionResource{Group: r.group, Version: r.version,
							Resource: r.resource}
						req.SubResource = r.subresource
						resp, _ := b.complete(NewGuard(b.options), req)
						if !allow {
							b.wantDenied(resp, 403, "scope", "taskruns/status")
						} else if !resp.Allowed || len(resp.Patch) > 0 {
							t.Errorf("got %v with patch %s", resp.Result, resp.Patch)
						}
					})
			}
		}
	}
}

// The webhook sees a write made in v1beta1 in v1.
func TestWritesMadeInV1beta1(t *testing.T) {
	stored := withStatus(t, storedResults)
	for _, tt := range []struct {
		name string
		user authenticationv1.UserInfo
		code int32
	}{
		{"forbid a pod", ownPod, 403},
		{"forbid a person", person, 403},
		{"keeps stored results in a write of the controller", trustedController, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			req := request(tt.user, stored, mergePatch(t, stored, `{"status":{"results":null}}`))
			req.RequestResource = &metav1.GroupVersionResource{Group: "tekton.dev", Version: "v1beta1",
				Resource: "taskruns"}
			resp, final := b.complete(NewGuard(b.options), req)
			if tt.code != 0 {
				b.wantDenied(resp, tt.code, "scope", "in tekton.dev/v1 only")
				return
			}
			wantSame(t, final, stored)
		})
	}
}

func TestWriterOf(t *testing.T) {
	controllers := []string{controllerName}
	for name, tt := range map[string]struct {
		user authenticationv1.UserInfo
		want requester
	}{
		"keeps the controller, also with a pod": {
			user: authenticationv1.UserInfo{Username: controllerName, Extra: ownPod.Extra},
			want: requester{kind: requesterController, username: controllerName},
		},
		"keeps a pod's namespace, name and UID": {
			user: ownPod,
			want: requester{kind: requesterPod, username: "system:serviceaccount:team:default", namespace: "team",
				podName: "build-pod", podUID: "pod-uid"},
		},
		"takes a service account without a pod for what it is": {
			user: unboundAccount,
			want: requester{
				kind: requesterServiceAccount, username: "system:serviceaccount:team:default", namespace: "team",
			},
		},
		"takes a service account without a name for bound to nothing": {
			user: authenticationv1.UserInfo{Username: "system:serviceaccount:team:", Extra: ownPod.Extra},
			want: requester{kind: requesterServiceAccount, username: "system:serviceaccount:team:"},
		},
		"takes a person for other": {user: person, want: requester{kind: requesterOther, username: "ada"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := requesterOf(tt.user, controllers); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
