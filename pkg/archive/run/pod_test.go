package run

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
