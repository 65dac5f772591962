package selfcheck

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// rule is "verbs resources", each separated by commas, for tekton.dev.
func rule(text string, names ...string) rbacv1.PolicyRule {
	verbs, resources, _ := strings.Cut(text, " ")
	return rbacv1.PolicyRule{APIGroups: []string{"tekton.dev"}, Verbs: strings.Split(verbs, ","),
		Resources: strings.Split(resources,
			","), ResourceNames: names}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) runtime.Object {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func role(namespace, name string, rules ...rbacv1.PolicyRule) runtime.Object {
	return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules}
}

// bind makes a binding of a role, "kind/name"; without a namespace for all of them.
func bind(namespace, name, to string, subjects ...rbacv1.Subject) runtime.Object {
	kind, of, _ := strings.Cut(to, "/")
	meta, ref := metav1.ObjectMeta{Namespace: namespace, Name: name}, rbacv1.RoleRef{Kind: kind, Name: of}
	if namespace == "" {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
	}
	return &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
}

func group(name string) rbacv1.Subject { return rbacv1.Subject{Kind: "Group", Name: name} }
func user(name string) rbacv1.Subject  { return rbacv1.Subject{Kind: "User", Name: name} }
func sa(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
}

func TestInspectLeaks(t *testing.T) {
	patch, get := clusterRole("patch", rule("patch taskruns/status")), clusterRole("get", rule("get taskruns"))
	both := clusterRole("both", rule("get,patch taskruns,taskruns/status"))
	const toOne = "RoleBinding/team/b gives ClusterRole/patch to system:serviceaccount:team:one"
	tests := []struct {
		name    string
		objects []runtime.Object
		want    []string
	}{
		{name: "allow a cluster in which nobody patches",
			objects: []runtime.Object{get, bind("team", "b", "ClusterRole/get", sa("team",
				"one"))}},
		{name: "allow a role that nobody has", objects: []runtime.Object{patch}},
		{name: "allow update", objects: []runtime.Object{clusterRole("u", rule("update taskruns/status")), bind("", "b",
			"ClusterRole/u", group("system:serviceaccounts"))}},
		{name: "allow a person to patch", objects: []runtime.Object{patch,
			bind("team", "b", "ClusterRole/patch", user("jane"), group("admins"))}},
		{name: "allow an account that may do both by one role", objects: []runtime.Object{both, bind("team", "b",
			"ClusterRole/both", sa("team", "one"))}},
		{name: "allow an administrator",
			objects: []runtime.Object{clusterRole("admin",
				rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}),
				bind("", "b", "ClusterRole/admin", sa("team", "one"))}},
		{name: "allow an account that may get by another binding",
			objects: []runtime.Object{patch, get, bind("team", "b",
				"ClusterRole/patch", sa("team", "one")), bind("team", "c", "ClusterRole/get", sa("team", "one"))}},
		{name: "allow an account that may get everywhere", objects: []runtime.Object{patch, get, bind("team", "b",
			"ClusterRole/patch", sa("team", "one")), bind("", "c", "ClusterRole/get", sa("team", "one"))}},
		{name: "allow an account whose group may get", objects: []runtime.Object{patch, get, bind("team", "b",
			"ClusterRole/patch", sa("team", "one")),
			bind("team", "c", "ClusterRole/get", group("system:serviceaccounts:team"))}},
		{name: "allow an account that, as everybody who is known, may list",
			objects: []runtime.Object{patch, clusterRole("list", rule("list taskruns")), bind("team",
				"b", "ClusterRole/patch", sa("team", "one")),
				bind("", "c", "ClusterRole/list", group("system:authenticated"))}},
		{name: "forbid an account to patch", objects: []runtime.Object{patch,
			bind("team", "b", "ClusterRole/patch", sa("team",
				"one"))}, want: []string{toOne}},
		{name: "forbid an account of the binding's namespace, as whose it counts",
			objects: []runtime.Object{patch, bind("team",
				"b", "ClusterRole/patch", sa("", "one"))}, want: []string{toOne}},
		{name: "forbid an account that is named as a user", objects: []runtime.Object{patch, bind("team", "b",
			"ClusterRole/patch", user("system:serviceaccount:team:one"))}, want: []string{toOne}},
		{name: "forbid an account that may get elsewhere", objects: []runtime.Object{patch, get, bind("team", "b",
			"ClusterRole/patch", sa("team", "one")), bind("other", "c", "ClusterRole/get", sa("team", "one"))},
			want: []string{toOne}},
		{name: "forbid an account of another namespace", objects: []runtime.Object{patch, get, bind("team", "b",
			"ClusterRole/patch", sa("mallory", "one")),
			bind("team", "c", "ClusterRole/get", group("system:serviceaccounts:team"))},
			want: []string{"RoleBinding/team/b gives ClusterRole/patch to system:serviceaccount:mallory:one"}},
		{name: "forbid a group to patch everywhere that may get in one namespace",
			objects: []runtime.Object{patch, get, bind("",
				"b", "ClusterRole/patch", group("system:serviceaccounts")),
				bind("team", "c", "ClusterRole/get", group("system:serviceaccounts"))},
			want: []string{"ClusterRoleBinding/b gives ClusterRole/patch to system:serviceaccounts"}},
		{name: "forbid the accounts of a namespace, of which one may get",
			objects: []runtime.Object{patch, get, bind("team",
				"b", "ClusterRole/patch", group("system:serviceaccounts:team")),
				bind("team", "c", "ClusterRole/get", sa("team",
					"one"))},
			want: []string{"RoleBinding/team/b gives ClusterRole/patch to system:serviceaccounts:team"}},
		{name: "forbid everybody who is known",
			objects: []runtime.Object{patch, bind("team", "b", "ClusterRole/patch", group("system:authenticated"))},
			want:    []string{"RoleBinding/team/b gives ClusterRole/patch to system:authenticated"}},
		{name: "forbid a Role, and not the one of its name elsewhere",
			objects: []runtime.Object{role("team", "r", rule("patch */status")), role("other",
				"r", rule("patch tasks")),
				bind("team", "b", "Role/r", sa("team", "one")), bind("other", "b", "Role/r", sa("team", "one"))},
			want: []string{"RoleBinding/team/b gives Role/r to system:serviceaccount:team:one"}},
		{name: "forbid patches of TaskRuns of one name, and reading those of one name does not help",
			objects: []runtime.Object{clusterRole("patch", rule("patch taskruns/status",
				"x")), clusterRole("get", rule("get taskruns", "y")),
				bind("team", "b", "ClusterRole/patch", sa("team", "one")),
				bind("team", "c", "ClusterRole/get", sa("team", "one"))},
			want: []string{toOne}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := InspectLeaks(context.Background(), fake.NewClientset(tt.objects...))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range found.found {
				got = append(got, l.String())
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// A cluster has thousands of bindings: they come by pages, and the last page counts as the first
// does.
func TestInspectLeaksReadsAllPages(t *testing.T) {
	client := fake.NewClientset(clusterRole("patch", rule("patch taskruns/status")))
	var asked []string
	client.PrependReactor("list", "rolebindings", func(action clienttesting.Action) (bool, runtime.Object, error) {
		options := action.(clienttesting.ListActionImpl).GetListOptions()
		asked = append(asked, strconv.FormatInt(options.Limit, 10)+" "+options.Continue)
		page := &rbacv1.RoleBindingList{Items: []rbacv1.RoleBinding{*bind("team", "b"+options.Continue,
			"ClusterRole/patch",
			sa("team",
				"one")).(*rbacv1.RoleBinding)}}
		if options.Continue == "" {
			page.Continue = "2"
		}
		return true, page, nil
	})
	found, err := InspectLeaks(context.Background(), client)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.found) != 2 || strings.Join(asked, ";") != "500 ;500 2" {
		t.Errorf("found %v, asked %q", found.found, asked)
	}
}

func TestInspectLeaksSaysWhatItCouldNotRead(t *testing.T) {
	for _, resource := range []string{"ClusterRoles", "Roles", "ClusterRoleBindings", "RoleBindings"} {
		client := fake.NewClientset()
		client.PrependReactor("list", strings.ToLower(resource),
			func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, errors.New("forbidden")
			})
		if _, err := InspectLeaks(context.Background(), client); err == nil || err.Error() != "listing "+resource+
			": forbidden" {
			t.Errorf("%s cannot be read: %v", resource, err)
		}
	}
}

func TestLeaksAreTold(t *testing.T) {
	var found Leaks
	for n := range 7 {
		found.found = append(found.found, leak{"RoleBinding/team/b" + strconv.Itoa(n), "ClusterRole/patch",
			"system:serviceaccount:team:one"})
	}
	got := found.problems()[BoundLeaks]
	for _, want := range []string{"where they may not get TaskRuns", "RoleBinding/team/b4 gives ClusterRole/patch to " +
		"system:serviceaccount:team:one; and 2 more. Remove patch from the role"} {
		if !strings.Contains(got, want) {
			t.Errorf("said %q, want %q in it", got, want)
		}
	}
	if got := (Leaks{}).problems()[BoundLeaks]; got != "" {
		t.Errorf("without leaks: %q", got)
	}
	m := New(Options{}).Metrics
	found.measure(m, metav1.Unix(10, 0).Time)
	if leaks, looked := value(t, m.leaks.WithLabelValues("bound")), value(t, m.leaksLooked); leaks != 7 ||
		looked != 10 {
		t.Errorf("%v leaks, looked at %v", leaks, looked)
	}
}

// Every service account at once is asked about at each look, whatever authorizer the answer comes
// from.
func TestGroupLeak(t *testing.T) {
	tests := []struct {
		name   string
		change func(*installation)
		leaks  bool
	}{
		{"allow a group that updates", func(*installation) {}, false},
		{"forbid a group that patches", func(i *installation) { i.may = "patch" }, true},
		{"allow a group that patches and reads", func(i *installation) { i.may, i.reads = "patch", true }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := complete()
			tt.change(i)
			found, err := Inspect(context.Background(), i.client(t), expected)
			if err != nil {
				t.Fatal(err)
			}
			if got := found.problems()[GroupLeak]; (got != "") != tt.leaks || tt.leaks &&
				!strings.Contains(got, "remove patch from it") {
				t.Errorf("said %q", got)
			}
		})
	}
}
