package run

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func podOf(t *testing.T, text string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(text), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestContainersWithLogs(t *testing.T) {
	a := &Attempt{Steps: []Part{{Container: "step-a"}, {Container: "step-b"}},
		Sidecars: []Part{{Container: "sidecar-s"}, {Container: "sidecar-native"}}}
	for name, tt := range map[string]struct{ pod, want string }{
		"all that the run names, if the pod is gone": {"", "step-a step-b sidecar-s sidecar-native"},
		"Tekton's own init containers are left out": {
			`{status: {initContainerStatuses: [{name: prepare, state: {terminated: {exitCode: 0}}}, {name: place-scripts, state: {waiting: {}}}, {name: indelible-install, state: {terminated: {exitCode: 0}}}]}}`,
			"step-a step-b sidecar-s sidecar-native",
		},
		"unless they failed": {
			`{status: {initContainerStatuses: [{name: prepare, state: {terminated: {exitCode: 0}}}, {name: place-scripts, state: {terminated: {exitCode: 2}}}]}}`,
			"place-scripts step-a step-b sidecar-s sidecar-native",
		},
		"another init container comes first": {
			`{status: {initContainerStatuses: [{name: istio-init, state: {terminated: {exitCode: 0}}}]}}`,
			"istio-init step-a step-b sidecar-s sidecar-native",
		},
		"an injected container comes last, and a native sidecar appears once": {
			`{status: {initContainerStatuses: [{name: sidecar-native, state: {running: {}}}], containerStatuses: [{name: istio-proxy, state: {running: {}}}, {name: sidecar-s}, {name: step-b}]}}`,
			"sidecar-native step-a step-b sidecar-s istio-proxy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var pod *corev1.Pod
			if tt.pod != "" {
				pod = podOf(t, tt.pod)
			}
			if got := strings.Join(ContainersOf(a, pod), " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// Containers are followed once they have something to log.
func TestContainersToFollow(t *testing.T) {
	const running, terminated, waiting = `{"running":{}}`, `{"terminated":{}}`, `{"waiting":{}}`
	for name, tt := range map[string]struct {
		steps, sidecars []string
		want            string
	}{
		"of a pod that starts, none":                         {[]string{waiting, waiting}, []string{waiting}, ""},
		"of steps whose containers all run, the first":       {[]string{running, running, running}, nil, "a"},
		"of steps of which one has ended, that and the next": {[]string{terminated, running, running}, nil, "a b"},
		"all that have ended": {
			[]string{terminated, terminated, terminated}, nil, "a b c",
		},
		"a sidecar while it runs, and after": {[]string{running, running}, []string{running, terminated, waiting},
			"a s t"},
	} {
		t.Run(name, func(t *testing.T) {
			shares := func(states []string, names string) string {
				var all []string
				for i, state := range states {
					all = append(all, `{"container":"`+names[i:i+1]+`",`+state[1:])
				}
				return "[" + strings.Join(all, ",") + "]"
			}
			var of Status
			if err := json.Unmarshal([]byte(`{"podName":"p","steps":`+shares(tt.steps, "abc")+`,"sidecars":`+
				shares(tt.sidecars, "stu")+`}`), &of); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(of.ToFollow(), " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Containers of Tekton's pods are started once. A restarted one is a sidecar that Tekton has
// stopped.
func TestStateOfAContainer(t *testing.T) {
	for name, tt := range map[string]struct {
		pod             string
		replaced, final bool
	}{
		"a sidecar that runs": {
			`{status: {phase: Running, containerStatuses: [{name: x, state: {running: {}}}]}}`, false, false,
		},
		"an ended one may be restarted": {
			`{status: {phase: Running, containerStatuses: [{name: x, state: {terminated: {}}}]}}`, false, false,
		},
		"not if its pod has ended": {
			`{status: {phase: Failed, containerStatuses: [{name: x, state: {terminated: {}}}]}}`, false, true,
		},
		"nor if its pod is being deleted": {
			`{metadata: {deletionTimestamp: "2026-11-20T10:42:11Z"}, status: {phase: Running, containerStatuses: [{name: x, state: {terminated: {}}}]}}`, false, true,
		},
		"another is about to be started in its place": {
			`{status: {phase: Running, containerStatuses: [{name: x, restartCount: 1, state: {waiting: {}}, lastState: {terminated: {exitCode: 7}}}]}}`, true, true,
		},
		"another has been started in its place": {
			`{status: {phase: Running, containerStatuses: [{name: x, restartCount: 1, state: {running: {}}, lastState: {terminated: {exitCode: 7}}}]}}`, true, true,
		},
		"the state of the original one is lost": {
			`{status: {phase: Succeeded, containerStatuses: [{name: x, restartCount: 1, state: {terminated: {}}}]}}`,
			true, true,
		},
		"an init container that restarts by itself was not replaced": {
			`{status: {phase: Running, initContainerStatuses: [{name: x, restartCount: 2, state: {running: {}}, lastState: {terminated: {}}}]}}`, false, false,
		},
		"an init container that has ended": {
			`{status: {phase: Pending, initContainerStatuses: [{name: x, state: {terminated: {}}}]}}`, false, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := StateOf(podOf(t, tt.pod), "x")
			if got.Replaced != tt.replaced || got.Final != tt.final || tt.replaced && got.Terminated == nil {
				t.Errorf("%+v, want replaced %v, final %v", got, tt.replaced, tt.final)
			}
		})
	}
	step := podOf(t, `{status: {phase: Running, containerStatuses: [{name: step-a, state: {terminated: {}}}]}}`)
	if got := StateOf(step, "step-a"); !got.Final {
		t.Error("a step that has ended is not final")
	}
	if StateOf(nil, "x") != nil || StateOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}, "x") != nil {
		t.Error("a container that is not there has a state")
	}
}

// A step that waited longer for its turn than a rotation takes has lost nothing of its log.
func TestWhenAContainerBegan(t *testing.T) {
	started := time.Date(2026, 11, 20, 10, 42, 11, 0, time.UTC)
	raw := func(text string) *json.RawMessage { m := json.RawMessage(text); return &m }
	a := &Attempt{Steps: []Part{
		{Container: "step-first", Terminated: raw(`{"startedAt":"2026-11-20T10:42:11Z"}`)},
		{Container: "step-waited", Terminated: raw(`{"startedAt":"2026-11-20T10:43:36Z"}`)},
		{Container: "step-older", Terminated: raw(`{"startedAt":"2026-11-20T10:40:00Z"}`)},
		{Container: "step-silent", Terminated: raw(`{"exitCode":1}`)},
		{Container: "step-forged", Terminated: raw(`{"startedAt":7}`)},
		{Container: "step-running", Running: raw(`{"startedAt":"2026-11-20T10:43:36Z"}`)},
	}}
	for container, want := range map[string]time.Time{
		"step-first": started, "step-waited": started.Add(85 * time.Second), "step-older": started,
		"step-silent":  started,
		"step-forged":  started,
		"step-running": started, "sidecar-x": started,
	} {
		if got := a.Began(container, started); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", container, got, want)
		}
	}
}
