package selfcheck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Rule "leaks": no service account may patch taskruns/status where it may not read TaskRuns. The
// API server rejects a patch that it cannot decode before any admission, and quotes the object: for
// anybody who knows a name, the right to patch is the right to get.
//
// This considers RBAC only. Other authorizers are asked only about all service accounts together
// (isGroupLeak).

// A leak is a binding that lets service accounts patch but not read.
type leak struct{ binding, role, subject string }

func (l leak) String() string {
	return fmt.Sprintf("%s gives %s to %s", l.binding, l.role, l.subject)
}

// access is the part of a role that matters here.
type access struct{ patches, reads bool }

// accessOf evaluates a role's rules. A patch rule restricted to some names leaks those; a read rule
// restricted to some names does not cover the others.
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

// A grant is what one binding gives to one subject, in a namespace or, if "", in all.
type grant struct {
	account   string // a user name, or a group that service accounts are in
	namespace string
	leak      leak // how to report it
}

// account returns the user or group that a binding's subject stands for, and whether it may be
// service accounts.
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

// memberships returns the account and the groups that all of it belongs to: its rights are theirs.
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
