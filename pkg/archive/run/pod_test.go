package run

import (
	"net/http"
	"net/http/httptest"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// Whose pod it is, the UID of its controller decides, not a name.
func TestControls(t *testing.T) {
	for name, tt := range map[string]struct {
		pod  string
		want bool
	}{
		"the run's own pod": {`{name: run-pod, ownerReferences: [{kind: TaskRun, name: run, uid: mine, controller: true}]}`,
			true},
		"its own pod, made again": {
			`{name: run-pod, uid: second, ownerReferences: [{kind: TaskRun, name: run, uid: mine, controller: true}]}`, true},
		"the pod of a run that had its name before": {
			`{name: run-pod, ownerReferences: [{kind: TaskRun, name: run, uid: old, controller: true}]}`, false},
		"a pod that it owns and something else controls": {
			`{name: db-0, ownerReferences: [{kind: TaskRun, name: run, uid: mine}, {kind: StatefulSet, uid: db, controller: true}]}`,
			false},
		"a pod that it only owns": {`{name: db-0, ownerReferences: [{kind: TaskRun, name: run, uid: mine}]}`, false},
		"a pod that nothing owns": {`{name: run-pod}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			var m metav1.ObjectMeta
			if err := yaml.UnmarshalStrict([]byte(tt.pod), &m); err != nil {
				t.Fatal(err)
			}
			if got := Controls("mine", &m); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestGetPodAsksForNoOtherPath(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	kube, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "a/log", "../secrets", "A", "a?b"} {
		if _, err := GetPod(t.Context(), kube, "team", name, "uid"); !apierrors.IsNotFound(err) {
			t.Errorf("pod %q: %v", name, err)
		}
	}
	if asked > 0 {
		t.Errorf("%d requests", asked)
	}
}
