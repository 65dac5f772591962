package guard

import (
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// requesterKind says what may be expected of a writer. The values are those of the metrics' label "writer".
type requesterKind string

const (
	// requesterController is a configured user name: Tekton's controller. It may write any status.
	requesterController requesterKind = "controller"
	// requesterPod is a service account whose token is bound to a pod.
	requesterPod requesterKind = "pod"
	// requesterServiceAccount is a service account whose token is bound to no pod. Indelible's ClusterRole grants
	// all service accounts the patch of taskruns/status, so the guard must close to these what that opens.
	requesterServiceAccount requesterKind = "service_account"
	// requesterOther is anybody else: people, and components with certificates.
	requesterOther requesterKind = "other"
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
type requester struct {
	kind     requesterKind
	username string
	// namespace is the service account's; podName and podUID are those of its token.
	namespace, podName, podUID string
}

// requesterOf tells who makes a request from what the API server authenticated. Membership of the service accounts'
// group makes a service account of any user name, because our grant is to that group.
func requesterOf(user authenticationv1.UserInfo, controllers []string) requester {
	r := requester{kind: requesterOther, username: user.Username}
	if slices.Contains(controllers, user.Username) {
		r.kind = requesterController
		return r
	}
	account, named := strings.CutPrefix(user.Username, serviceAccountPrefix)
	if !named && !slices.Contains(user.Groups, serviceAccountsGroup) {
		return r
	}
	r.kind = requesterServiceAccount
	namespace, name, ok := strings.Cut(account, ":")
	if !named || !ok || namespace == "" || name == "" || strings.Contains(name, ":") {
		return r
	}
	r.namespace = namespace
	r.podName, r.podUID = single(user.Extra[extraPodName]), single(user.Extra[extraPodUID])
	if r.podName != "" && r.podUID != "" {
		r.kind = requesterPod
	}
	return r
}

// single returns the only value of a list. Two values would be two identities: neither counts.
func single(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}
