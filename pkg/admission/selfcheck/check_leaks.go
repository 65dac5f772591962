package selfcheck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Rule "leaks": no service account may patch taskruns/status where it may not read TaskRuns. The API server
// refuses a patch that it cannot decode before any admission, and quotes the object it was to change: the right
// to patch is the right to get for who knows a name.
//
// What counts is what RBAC says. Other authorizers are asked only about all service accounts (isGroupLeak).

// A leak is a binding by which service accounts may patch and not read.
type leak struct{ binding, role, subject string }

func (l leak) String() string {
	return fmt.Sprintf("%s gives %s to %s", l.binding, l.role, l.subject)
}

// access is what a role allows of what matters here.
type access struct{ patches, reads bool }

// accessOf looks at a role's rules. A rule for TaskRuns of some names leaks these, and lets nobody read the others.
func accessOf(rules []rbacv1.PolicyRule) access {
	var a access
	for _, r := range rules {
		if !hasAny(r.APIGroups, "tekton.dev", "*") {
			continue
		}
		status := hasAny(r.Resources, "taskruns/status", "*/status", "*")
		if status && hasAny(r.Verbs, "patch", "*") {
			a.patches = true
		}
		whole := hasAny(r.Resources, "taskruns", "*")
		reads := whole && hasAny(r.Verbs, "get", "list", "watch", "*") || status && hasAny(r.Verbs, "get", "*")
		if reads && len(r.ResourceNames) == 0 {
			a.reads = true
		}
	}
	return a
}

// A grant is what one binding gives to one subject: in a namespace, or in all of them, "".
type grant struct {
	account   string // a user name, or a group that service accounts are in
	namespace string
	leak      leak // how to tell of it
}

// account returns the user or group a subject of a binding stands for, if service accounts may be meant.
func account(s rbacv1.Subject, namespace string) (string, bool) {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		return serviceAccount + cmp.Or(s.Namespace, namespace) + ":" + s.Name, true
	case rbacv1.UserKind:
		return s.Name, strings.HasPrefix(s.Name, serviceAccount)
	case rbacv1.GroupKind:
		return s.Name, s.Name == allAuthenticated || s.Name == allAccounts ||
			strings.HasPrefix(s.Name, allAccounts+":")
	}
	return "", false
}

const (
	serviceAccount   = "system:serviceaccount:"
	allAccounts      = "system:serviceaccounts"
	allAuthenticated = "system:authenticated"
)

// memberships are the account itself and the groups all of it is in: what it may do is what they may.
func memberships(account string) []string {
	all := []string{account}
	if rest, single := strings.CutPrefix(account, serviceAccount); single {
		namespace, _, _ := strings.Cut(rest, ":")
		all = append(all, allAccounts+":"+namespace)
	}
	if account != allAuthenticated {
		all = append(all, allAccounts, allAuthenticated)
	}
	return all
}

// leaksOf returns the grants of patch that no grant of reading covers, sorted.
func leaksOf(patching, reading []grant) []leak {
	type where struct{ account, namespace string }
	readable := map[where]bool{}
	for _, g := range reading {
		readable[where{g.account, g.namespace}] = true
	}
	var leaks []leak
	for _, g := range patching {
		covered := slices.ContainsFunc(memberships(g.account), func(m string) bool {
			return readable[where{m, ""}] || readable[where{m, g.namespace}]
		})
		if !covered {
			leaks = append(leaks, g.leak)
		}
	}
	slices.SortFunc(leaks, func(a, b leak) int { return strings.Compare(a.String(), b.String()) })
	return leaks
}
