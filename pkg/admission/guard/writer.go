package guard

import (
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// writerKind says what may be expected of a writer. The values are those of the metrics' label "writer".
type writerKind string

const (
	// writerController is a configured user name: Tekton's controller. It may write any status.
	writerController writerKind = "controller"
	// writerPod is a service account whose token is bound to a pod.
	writerPod writerKind = "pod"
	// writerServiceAccount is a service account whose token is bound to no pod. Indelible's ClusterRole grants
	// all service accounts the patch of taskruns/status, so the guard must close to these what that opens.
	writerServiceAccount writerKind = "service_account"
	// writerOther is anybody else: people, and components with certificates.
	writerOther writerKind = "other"
)

// What the API server puts into a request made with a pod-bound token (KEP-1205). Only a holder of the right to
// impersonate userextras can put it there otherwise.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

const (
	serviceAccountPrefix = "system:serviceaccount:"
	serviceAccountsGroup = "system:serviceaccounts"
)

// writer is who makes a request.
type writer struct {
	kind     writerKind
	username string
	// namespace is the service account's; podName and podUID are those of its token.
	namespace, podName, podUID string
}

// writerOf tells who makes a request from what the API server authenticated. Membership of the service accounts'
// group makes a service account of any user name, because our grant is to that group.
func writerOf(user authenticationv1.UserInfo, controllers []string) writer {
	w := writer{kind: writerOther, username: user.Username}
	if slices.Contains(controllers, user.Username) {
		w.kind = writerController
		return w
	}
	account, named := strings.CutPrefix(user.Username, serviceAccountPrefix)
	if !named && !slices.Contains(user.Groups, serviceAccountsGroup) {
		return w
	}
	w.kind = writerServiceAccount
	namespace, name, ok := strings.Cut(account, ":")
	if !named || !ok || namespace == "" || name == "" || strings.Contains(name, ":") {
		return w
	}
	w.namespace = namespace
	w.podName, w.podUID = single(user.Extra[extraPodName]), single(user.Extra[extraPodUID])
	if w.podName != "" && w.podUID != "" {
		w.kind = writerPod
	}
	return w
}

// single returns the only value of a list. Two values would be two identities: neither counts.
func single(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}
