package guard

import (
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// requesterKind classifies a requester. The values are those of the metrics' label "writer".
type requesterKind string

const (
	// requesterController is a configured user name: Tekton's controller. It may write any status.
	requesterController requesterKind = "controller"
	// requesterPod is a service account whose token is bound to a pod.
	requesterPod requesterKind = "pod"
	// requesterServiceAccount is a service account whose token is not bound to a pod. Indelible's
	// ClusterRole grants all service accounts update on taskruns/status, and the guard denies
	// these.
	requesterServiceAccount requesterKind = "service_account"
	// requesterOther is anybody else: people, and components with certificates.
	requesterOther requesterKind = "other"
)

// Set by the API server for requests with a pod-bound token (KEP-1205). Otherwise only a holder of
// the right to impersonate userextras can set them.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

const (
	serviceAccountPrefix = "system:serviceaccount:"
	serviceAccountsGroup = "system:serviceaccounts"
)

// requester is who makes a request.
type requester struct {
	kind     requesterKind
	username string
	// namespace is the service account's; podName and podUID are those of its token.
	namespace, podName, podUID string
}

// requesterOf classifies who makes a request by what the API server authenticated. Membership in
// the service accounts' group makes any user a service account, because our grant is to that group.
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
