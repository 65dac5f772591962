package access

import (
	"net/url"
	"slices"
	"strings"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
)

// Request is what a request's headers or gRPC metadata say about the caller.
type Request struct {
	tokens []string
	// users, uids, groups and extra are from the Impersonate- headers.
	users, uids, groups []string
	extra               map[string][]string
}

// maxImpersonated bounds the reviews that one request can cause.
const maxImpersonated = 100

// gatewayPrefix is the prefix of headers that grpc-gateway turns into metadata.
const gatewayPrefix = "grpc-metadata-"

// ParseRequest parses headers, whose names may have any case.
func ParseRequest(headers map[string][]string) Request {
	r := Request{extra: map[string][]string{}}
	for name, values := range headers {
		name = strings.TrimPrefix(strings.ToLower(name), gatewayPrefix)
		switch name {
		case "authorization":
			r.tokens = append(r.tokens, values...)
		case strings.ToLower(authentication.ImpersonateUserHeader):
			r.users = append(r.users, values...)
		case strings.ToLower(authentication.ImpersonateUIDHeader):
			r.uids = append(r.uids, values...)
		case strings.ToLower(authentication.ImpersonateGroupHeader):
			r.groups = append(r.groups, values...)
		default:
			if key, ok := strings.CutPrefix(name,
				strings.ToLower(authentication.ImpersonateUserExtraHeaderPrefix)); ok {
				if decoded, err := url.PathUnescape(key); err == nil {
					key = decoded
				}
				r.extra[key] = append(r.extra[key], values...)
			}
		}
	}
	return r
}

// token returns the bearer token. Several headers are invalid: programs on the way might choose
// different ones.
func (r *Request) token() (string, bool) {
	if len(r.tokens) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(r.tokens[0], " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "bearer") && token != ""
}

func (r *Request) impersonates() bool {
	return len(r.users)+len(r.uids)+len(r.groups)+len(r.extra) > 0
}

// impersonated returns the user to impersonate, and the permissions that this needs; ok is false if
// the headers are invalid together. See
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation.
func (r *Request) impersonated() (user authentication.UserInfo, needs []authorization.ResourceAttributes, ok bool) {
	if len(r.users) != 1 || r.users[0] == "" || len(r.uids) > 1 {
		return user, nil, false
	}
	user.Username = r.users[0]
	user.Groups = slices.Clone(r.groups)
	if namespace, name, isAccount := serviceAccount(user.Username); isAccount {
		needs = append(needs, authorization.ResourceAttributes{Resource: "serviceaccounts", Namespace: namespace,
			Name: name})
		if len(r.groups) == 0 {
			user.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
		}
	} else {
		needs = append(needs, authorization.ResourceAttributes{Resource: "users", Name: user.Username})
	}
	for _, group := range r.groups {
		needs = append(needs, authorization.ResourceAttributes{Resource: "groups", Name: group})
	}
	for _, uid := range r.uids {
		user.UID = uid
		needs = append(needs, authorization.ResourceAttributes{Group: authentication.GroupName, Resource: "uids",
			Name: uid})
	}
	for key, values := range r.extra {
		if user.Extra == nil {
			user.Extra = map[string]authentication.ExtraValue{}
		}
		user.Extra[key] = values
		for _, value := range values {
			needs = append(needs, authorization.ResourceAttributes{Group: authentication.GroupName,
				Resource: "userextras", Subresource: key, Name: value})
		}
	}
	user.Groups = append(user.Groups, implied(&user)...)
	for i := range needs {
		needs[i].Verb = "impersonate"
	}
	return user, needs, len(needs) <= maxImpersonated
}

// Groups and a user that Kubernetes defines.
const (
	anonymous       = "system:anonymous"
	authenticated   = "system:authenticated"
	unauthenticated = "system:unauthenticated"
)

// implied returns the group for being authenticated or not, as the API server adds it when it
// impersonates.
func implied(user *authentication.UserInfo) []string {
	switch {
	case slices.Contains(user.Groups, unauthenticated):
		return nil
	case user.Username == anonymous:
		return []string{unauthenticated}
	case slices.Contains(user.Groups, authenticated):
		return nil
	}
	return []string{authenticated}
}

// serviceAccount splits system:serviceaccount:NAMESPACE:NAME.
func serviceAccount(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, "system:serviceaccount:")
	namespace, name, split := strings.Cut(rest, ":")
	return namespace, name, ok && split && namespace != "" && name != "" && !strings.Contains(name, ":")
}
