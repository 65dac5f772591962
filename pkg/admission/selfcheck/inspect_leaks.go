package selfcheck

import (
	"context"
	"fmt"
	"path"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Leaks is the result of one check of all roles and bindings.
type Leaks struct{ found []leak }

func (l Leaks) problems() map[Topic]string {
	return map[Topic]string{BoundLeaks: adviseLeaks(l.found)}
}

func (l Leaks) measure(m *Metrics, began time.Time) {
	m.leaks.WithLabelValues(leakBound).Set(float64(len(l.found)))
	m.leaksLooked.Set(seconds(began))
}

// pageSize bounds memory. Paged lists are served from the API server's cache since Kubernetes 1.34,
// before that from etcd; a list at resource version 0 would always come from the cache, but in one
// piece.
const pageSize = 500

// InspectLeaks goes through all roles, then through all bindings to roles that allow patching
// taskruns/status or reading TaskRuns. Changes between two pages may go unnoticed until the next
// check.
func InspectLeaks(ctx context.Context, client kubernetes.Interface) (Leaks, error) {
	roles, err := rolesThatMatter(ctx, client)
	if err != nil {
		return Leaks{}, err
	}
	var patching, reading []grant
	note := func(kind string, meta metav1.ObjectMeta, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		key := roleKey{kind: ref.Kind, name: ref.Name}
		if ref.Kind == "Role" {
			key.namespace = meta.Namespace
		}
		a := roles[key]
		if !a.patches && !a.reads {
			return
		}
		for _, s := range subjects {
			who, matters := account(s, meta.Namespace)
			if !matters {
				continue
			}
			by := leak{binding: kind + "/" + path.Join(meta.Namespace, meta.Name), role: ref.Kind + "/" + ref.Name,
				subject: who}
			g := grant{account: who, namespace: meta.Namespace, leak: by}
			if a.patches {
				patching = append(patching, g)
			}
			if a.reads {
				reading = append(reading, g)
			}
		}
	}
	rbac := client.RbacV1()
	err = pages(ctx, "ClusterRoleBindings", rbac.ClusterRoleBindings().List,
		func(l *rbacv1.ClusterRoleBindingList) metav1.ListMeta {
			for _, b := range l.Items {
				note("ClusterRoleBinding", b.ObjectMeta, b.RoleRef, b.Subjects)
			}
			return l.ListMeta
		})
	if err != nil {
		return Leaks{}, err
	}
	everywhere := rbac.RoleBindings(metav1.NamespaceAll)
	err = pages(ctx, "RoleBindings", everywhere.List, func(l *rbacv1.RoleBindingList) metav1.ListMeta {
		for _, b := range l.Items {
			note("RoleBinding", b.ObjectMeta, b.RoleRef, b.Subjects)
		}
		return l.ListMeta
	})
	return Leaks{found: leaksOf(patching, reading)}, err
}

type roleKey struct{ kind, namespace, name string }

// rolesThatMatter returns the roles that allow patching taskruns/status or reading TaskRuns.
// Aggregated roles contain their rules: Kubernetes' controller writes them there.
func rolesThatMatter(ctx context.Context, client kubernetes.Interface) (map[roleKey]access, error) {
	roles := map[roleKey]access{}
	err := pages(ctx, "ClusterRoles", client.RbacV1().ClusterRoles().List,
		func(l *rbacv1.ClusterRoleList) metav1.ListMeta {
			for _, r := range l.Items {
				if a := accessOf(r.Rules); a != (access{}) {
					roles[roleKey{kind: "ClusterRole", name: r.Name}] = a
				}
			}
			return l.ListMeta
		})
	if err != nil {
		return nil, err
	}
	err = pages(ctx, "Roles", client.RbacV1().Roles(metav1.NamespaceAll).List,
		func(l *rbacv1.RoleList) metav1.ListMeta {
			for _, r := range l.Items {
				if a := accessOf(r.Rules); a != (access{}) {
					roles[roleKey{kind: "Role", namespace: r.Namespace, name: r.Name}] = a
				}
			}
			return l.ListMeta
		})
	return roles, err
}

// pages lists page by page. each returns the list's metadata, with the continue token.
func pages[L any](
	ctx context.Context, what string, list func(context.Context, metav1.ListOptions) (L, error),
	each func(L) metav1.ListMeta,
) error {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := list(ctx, options)
		if err != nil {
			return fmt.Errorf("listing %s: %w", what, err)
		}
		if options.Continue = each(page).Continue; options.Continue == "" {
			return nil
		}
	}
}
