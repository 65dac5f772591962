package selfcheck

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// openshift moves Tekton's controller there.
func openshift(i *installation) { i.workloads = []runtime.Object{controllerIn("openshift-pipelines")} }

func nameInGuard(namespaces ...string) func(*installation) {
	return func(i *installation) {
		for _, w := range i.guard.Webhooks[1:] {
			w.MatchConditions[0].Expression = "request.userInfo.username in " + named(namespaces...)
		}
	}
}

func nameInPolicy(namespaces ...string) func(*installation) {
	return func(i *installation) { i.policy.Spec.Variables[0].Expression = named(namespaces...) }
}

func all(changes ...func(*installation)) func(*installation) {
	return func(i *installation) {
		for _, change := range changes {
			change(i)
		}
	}
}

const (
	wrongEverywhere = "Tekton's controller is system:serviceaccount:openshift-pipelines:tekton-pipelines-controller, " +
		"but MutatingWebhookConfiguration/indelible-guard names " +
		"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller; " +
		"ValidatingAdmissionPolicy/indelible-results names " +
		"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller; " +
		"ValidatingAdmissionPolicy/indelible-pods names " +
		"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller; " +
		"ConfigMap/indelible-config names system:serviceaccount:tekton-pipelines:tekton-pipelines-controller: Tekton " +
		"cannot go on with TaskRuns. Install again with its name: make install " +
		"CONTROLLER=system:serviceaccount:openshift-pipelines:tekton-pipelines-controller, " +
		"or an overlay with that key `controller` (docs/operations.md)"
	wrongInPolicy = "Tekton's controller is system:serviceaccount:tekton-pipelines:tekton-pipelines-controller, but " +
		"ValidatingAdmissionPolicy/indelible-results names system:serviceaccount:old:tekton-pipelines-controller: Tekton " +
		"cannot go on with TaskRuns. Install again with its name: make install " +
		"CONTROLLER=system:serviceaccount:tekton-pipelines:tekton-pipelines-controller, " +
		"or an overlay with that key `controller` (docs/operations.md)"
	differ = "the API server's settings differ from the webhook's configuration: "
	again  = ". This is normal for a minute after a change; otherwise install again what was changed (docs/operations.md)"
)

func TestControllerAndSettings(t *testing.T) {
	tests := []struct {
		name                 string
		change               func(*installation)
		controller, settings string
	}{
		{name: "finds nothing wrong where all name the one that runs"},
		{name: "finds the name of another installation of Tekton wrong everywhere, granted or not",
			change:     all(openshift, func(i *installation) { i.may, i.role = "", nil }),
			controller: wrongEverywhere},
		{name: "finds one place that names another, and that it differs", change: nameInPolicy("old"),
			controller: wrongInPolicy,
			settings: differ + "ValidatingAdmissionPolicy/indelible-results takes " +
				"system:serviceaccount:old:tekton-pipelines-controller for Tekton's controller, " +
				"but the ConfigMap says system:serviceaccount:tekton-pipelines:tekton-pipelines-controller" + again},
		{name: "finds one of a piece's places that names another", change: func(i *installation) {
			i.guard.Webhooks[2].MatchConditions[0].Expression = "request.userInfo.username in " + named("old")
		}, controller: strings.Replace(wrongInPolicy, "ValidatingAdmissionPolicy/indelible-results",
			"MutatingWebhookConfiguration/indelible-guard", 1),
			settings: differ + "MutatingWebhookConfiguration/indelible-guard takes " +
				"system:serviceaccount:old:tekton-pipelines-controller for Tekton's controller, " +
				"but the ConfigMap says system:serviceaccount:tekton-pipelines:tekton-pipelines-controller" + again},
		{name: "finds a policy that trusts somebody else as well", change: nameInPolicy("tekton-pipelines", "old"),
			settings: differ + "ValidatingAdmissionPolicy/indelible-results takes " +
				"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller " +
				"system:serviceaccount:old:tekton-pipelines-controller " +
				"for Tekton's controller, but the ConfigMap says " +
				"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller" + again},
		{name: "finds a guard that does not say", change: func(i *installation) {
			i.guard.Webhooks[1].MatchConditions, i.guard.Webhooks[2].MatchConditions = nil, nil
		},
			settings: differ +
				"MutatingWebhookConfiguration/indelible-guard does not say who Tekton's controller is, in the " +
				"form '<name>'.split(' ')" + again},
		{name: "lets nobody's look-alike make the real one wrong",
			change: func(i *installation) { i.workloads = append(i.workloads, controllerIn("mallory")) }},
		{name: "passes by what is not labelled as Tekton's", change: func(i *installation) {
			other := controllerIn("other")
			other.Labels = nil
			i.workloads = []runtime.Object{other}
		}},
		{name: "passes by one that is scaled to zero", change: func(i *installation) {
			old, none := controllerIn("old"), int32(0)
			old.Spec.Replicas = &none
			i.workloads = []runtime.Object{old}
		}},
		{name: "finds a StatefulSet, as the operator makes it", change: func(i *installation) {
			d := controllerIn("openshift-pipelines")
			i.workloads = []runtime.Object{&appsv1.StatefulSet{ObjectMeta: d.ObjectMeta,
				Spec: appsv1.StatefulSetSpec{Template: d.Spec.Template}}}
		}, controller: wrongEverywhere},
		{
			name:   "says nothing of pieces that are not there",
			change: func(i *installation) { i.guard, i.policy = nil, nil },
		},
		{name: "finds a policy that allows less than the configuration",
			change: func(i *installation) { i.policy.Spec.Variables[1].Expression = "1000" },
			settings: differ +
				"ValidatingAdmissionPolicy/indelible-results allows 1000 bytes of results (variable maxBytes), " +
				"less than limits.taskRun, 1310720" + again},
		{name: "finds nothing wrong with a policy that allows more",
			change: func(i *installation) { i.policy.Spec.Variables[1].Expression = "1310721" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := complete()
			if tt.change != nil {
				tt.change(i)
			}
			found, err := Inspect(context.Background(), i.client(t), expected)
			if err != nil {
				t.Fatal(err)
			}
			problems := found.problems()
			if got := problems[Controller]; got != tt.controller {
				t.Errorf("controller: %q\nwant %q", got, tt.controller)
			}
			if got := problems[Settings]; got != tt.settings {
				t.Errorf("settings: %q\nwant %q", got, tt.settings)
			}
		})
	}
}

// Between the names of two installations, with both of them in place, nothing is wrong: the way to
// move Tekton.
func TestBothNamesWhileTektonMoves(t *testing.T) {
	both := expected
	both.Controllers = []string{userIn("tekton-pipelines"), userIn("openshift-pipelines")}
	change := all(nameInGuard("tekton-pipelines", "openshift-pipelines"), nameInPolicy("tekton-pipelines",
		"openshift-pipelines"))
	for _, where := range []string{"tekton-pipelines", "openshift-pipelines"} {
		i := complete()
		change(i)
		i.workloads = []runtime.Object{controllerIn(where)}
		i.pods = named("tekton-pipelines", "openshift-pipelines")
		found, err := Inspect(context.Background(), i.client(t), both)
		if err != nil {
			t.Fatal(err)
		}
		for topic, problem := range found.problems() {
			if problem != "" {
				t.Errorf("in %s: %s: %s", where, topic.Wrong, problem)
			}
		}
	}
}

// If the webhook may not list Tekton's controller, the grant is still checked.
func TestGrantIsCheckedWhereTheControllerIsHidden(t *testing.T) {
	i := complete()
	i.broken, i.guard = "deployments", nil
	found, err := Inspect(context.Background(), i.client(t), expected)
	if err == nil || found == nil {
		t.Fatalf("found %v, error %v, want both", found, err)
	}
	problems := found.problems()
	if _, looked := problems[Controller]; looked ||
		!strings.Contains(problems[Grant], "indelible-guard does not exist") {
		t.Errorf("problems %v", problems)
	}
	m := New(Options{}).Metrics
	found.measure(m, metav1.Unix(10, 0).Time)
	if got := value(t, m.looked); got != 0 {
		t.Errorf("a look that was half answered counts: %v", got)
	}
}

// What is ready or not is told by topic, and a difference of settings takes no replica away.
func TestReadyByTopic(t *testing.T) {
	l := newLooks()
	wrong := Finding{usual: true, granted: true, gaps: noBinding.gaps, running: []string{"a"},
		strangers: []gap{{configuration,
			"names b"}},
		settings: []gap{{piece{kindPolicy, "indelible-results"}, "differs"}}, leaking: true}
	l.next = func() (Finding, error) { return wrong, nil }
	l.check(context.Background())
	const controller = "Tekton's controller is a, but ConfigMap/indelible-config names b: Tekton cannot go on with " +
		"TaskRuns. Install again with its name: make install CONTROLLER=a, or an overlay with that key `controller` " +
		"(docs/operations.md)"
	if err := l.Ready(); err == nil || err.Error() != noBindingText+"; "+controller {
		t.Errorf("ready: %v", err)
	}
	var reasons []string
	for _, change := range l.changes {
		reason, _, _ := strings.Cut(change, ":")
		reasons = append(reasons, reason)
	}
	if got := strings.Join(reasons, " "); got != "UnguardedGrant WrongController SettingsDiffer ReadLeak" {
		t.Errorf("told of %s", got)
	}
	for name, gauge := range map[string]float64{
		"wrong controller": value(t, l.Metrics.strangers.WithLabelValues("ConfigMap/indelible-config")),
		"settings":         value(t, l.Metrics.settings.WithLabelValues("ValidatingAdmissionPolicy/indelible-results")),
		"leak":             value(t, l.Metrics.leaks.WithLabelValues("all")),
	} {
		if gauge != 1 {
			t.Errorf("metric of %s: %v", name, gauge)
		}
	}
	wrong.gaps, wrong.strangers = nil, nil
	l.check(context.Background())
	if err := l.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

// The manifests of this repository name the usual controller: where it is another, they are not
// what puts a piece back.
func TestAdviceWhereTheControllerIsAnother(t *testing.T) {
	i := complete()
	i.binding = nil
	found, err := Inspect(context.Background(), i.client(t),
		Expected{Controllers: []string{userIn("openshift-pipelines")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := found.problems()[Grant]; strings.Contains(got, "kubectl apply") || !strings.Contains(got,
		"with the overlay that was installed") {
		t.Errorf("advises %q", got)
	}
}
