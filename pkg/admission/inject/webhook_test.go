package inject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	gomodules "gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/publisher"
	"github.com/indelible-ci/indelible/pkg/result"
)

// The Pods in testdata are Tekton's own; see testdata/tektonpods.

var testSettings = Settings{
	Image: "indelible-publisher:dev", PullPolicy: corev1.PullNever, Delivery: DeliveryImageVolume,
	Timeout: 90 * time.Second, Server: "10.96.0.1:443", Limits: result.Limits{Result: 100, TaskRun: 200, Object: 300},
}

// tree is a Pod as JSON, of which nothing is lost.
type tree = map[string]any

func readPod(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// edit changes a Pod's JSON.
func edit(t *testing.T, raw []byte, change func(pod tree)) []byte {
	t.Helper()
	pod := parse(t, raw)
	change(pod)
	out, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parse(t *testing.T, raw []byte) tree {
	t.Helper()
	var pod tree
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(tree)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v
}

func create(raw []byte) admission.Request {
	return admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Operation: admissionv1.Create, Namespace: "ci",
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Object:   runtime.RawExtension{Raw: raw},
	}}
}

func handle(t *testing.T, o Options, raw []byte) (after []byte, response admission.Response) {
	t.Helper()
	if o.Settings == nil {
		o.Settings = func() Settings { return testSettings }
	}
	o.Log = logr.Discard()
	req := create(raw)
	response = New(o).Handle(context.Background(), req)
	if !response.Allowed {
		t.Fatalf("the pod was refused: %v", response.Result)
	}
	if err := response.Complete(req); err != nil {
		t.Fatal(err)
	}
	if response.Patch == nil {
		return raw, response
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		t.Fatal(err)
	}
	after, err = patch.Apply(raw)
	if err != nil {
		t.Fatal(err)
	}
	return after, response
}

// refused returns the message with which a Pod is refused.
func refused(t *testing.T, o Options, raw []byte) string {
	t.Helper()
	if o.Settings == nil {
		o.Settings = func() Settings { return testSettings }
	}
	o.Log = logr.Discard()
	response := New(o).Handle(context.Background(), create(raw))
	if response.Allowed || response.Result == nil {
		t.Fatal("the pod was not refused")
	}
	// By another code or reason Tekton may try again for ever.
	if response.Result.Code != 422 || response.Result.Reason != metav1.StatusReasonInvalid || response.Patches != nil {
		t.Errorf("refused with %+v, patches %v", response.Result, response.Patches)
	}
	return response.Result.Message
}

// ownToken adds what the ServiceAccount admission plugin adds to every container before a webhook
// sees the Pod.
func ownToken(pod tree) {
	volume := tree{"name": "kube-api-access-x7k2p", "projected": tree{"defaultMode": 420, "sources": []any{
		tree{"serviceAccountToken": tree{"expirationSeconds": 3607, "path": "token"}},
		tree{"configMap": tree{"name": "kube-root-ca.crt", "items": []any{tree{"key": "ca.crt", "path": "ca.crt"}}}},
		tree{"downwardAPI": tree{"items": []any{tree{"path": "namespace",
			"fieldRef": tree{"fieldPath": "metadata.namespace"}}}}},
	}}}
	spec := pod["spec"].(tree)
	spec["volumes"] = append(spec["volumes"].([]any), volume)
	for _, c := range append(slices.Clone(spec["containers"].([]any)), spec["initContainers"].([]any)...) {
		mounts, _ := c.(tree)["volumeMounts"].([]any)
		c.(tree)["volumeMounts"] = append(mounts, tree{
			"name": "kube-api-access-x7k2p", "readOnly": true,
			"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
		})
	}
}

const ownDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// TestPublisherCommand: for Tekton's Pods, what runs in each step afterwards.
func TestPublisherCommand(t *testing.T) {
	first := "-wait_file /tekton/downward/ready -wait_file_content -post_file /tekton/run/0/out -termination_path " +
		"/tekton/termination -step_metadata_dir /tekton/run/0/status"
	tests := map[string]struct {
		// keeping are the steps before the last: what the publisher runs there, and their own
		// results.
		keeping []keeping
		// command is what the publisher runs in the last.
		command string
		results []string
		own     publisher.StepResults
		kept    []publisher.StepResults
	}{
		"one-step": {
			command: first + " -entrypoint sh -- -c|echo -n abc > /tekton/results/digest",
			results: []string{"digest"},
		},
		"multi-step": {
			keeping: []keeping{
				{command: first + " -entrypoint /tekton/scripts/script-0-9l9zj --"},
				{command: "-wait_file /tekton/run/0/out -post_file /tekton/run/1/out -termination_path /tekton/termination " +
					"-step_metadata_dir /tekton/run/1/status" +
					" -on_error continue -timeout 1m30s -stdout_path /workspace/out -stderr_path /workspace/err -entrypoint make -- " +
					"-results x -- -step_results=y",
					own: publisher.StepResults{Step: "build", Dir: "/tekton/run/1/status/results",
						Names: []string{"sha"}}},
			},
			command: "-wait_file /tekton/run/1/out -post_file /tekton/run/2/out -termination_path /tekton/termination " +
				"-step_metadata_dir /tekton/run/2/status" +
				` --when_expressions [{"input":"-x","operator":"in","values":["-results","a"]}] -entrypoint sh -- -c true`,
			results: []string{"digest", "tags", "url"},
			own: publisher.StepResults{Step: "unnamed-2", Dir: "/tekton/run/2/status/results", Names: []string{"left",
				"right"}},
			kept: []publisher.StepResults{
				{Step: "fetch", Dir: "/indelible/kept/0/report"},
				{Step: "build", Dir: "/indelible/kept/1/report", Names: []string{"sha"}},
			},
		},
		"step-results-only": {
			keeping: []keeping{{command: first + " -entrypoint sh -- -c true",
				own: publisher.StepResults{Step: "first", Dir: "/tekton/run/0/status/results", Names: []string{"a"}}}},
			command: "-wait_file /tekton/run/0/out -post_file /tekton/run/1/out -termination_path /tekton/termination " +
				"-step_metadata_dir /tekton/run/1/status -entrypoint sh -- -c true",
			kept: []publisher.StepResults{{Step: "first", Dir: "/indelible/kept/0/report", Names: []string{"a"}}},
		},
		"sidecar": {command: first + " -entrypoint sh -- -c true", results: []string{"digest"}},
		"native-sidecar": {
			command: first + " -entrypoint /tekton/scripts/script-0-9l9zj --", results: []string{"digest"},
		},
		"breakpoint": {
			command: first + " -breakpoint_on_failure -debug_before_step -entrypoint sh -- -c|echo -n abc > " +
				"/tekton/results/digest",
			results: []string{"digest"},
		},
		"compressed": {
			command: first +
				" -compress_termination_message=true -entrypoint sh -- -c|echo -n abc > /tekton/results/digest",
			results: []string{"digest"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			after, response := handle(t, Options{}, edit(t, readPod(t, name), ownToken))
			if len(response.Warnings) > 0 {
				t.Errorf("warnings %q", response.Warnings)
			}
			var pod corev1.Pod
			if err := json.Unmarshal(after, &pod); err != nil {
				t.Fatal(err)
			}
			for i, step := range append(tc.keeping, keeping{command: tc.command, own: tc.own}) {
				want := publisher.Options{
					Namespace: "ci", TaskRun: name, Results: tc.results, ResultsDir: "/tekton/results", Own: step.own,
					Credentials: ownDir, Timeout: 2 * time.Minute, GracePeriod: 30 * time.Second,
					Limits:             result.Limits{Result: 100, TaskRun: 200, Object: 300},
					TerminationMessage: "/tekton/termination",
					Command:            append([]string{"/tekton/bin/entrypoint"}, argv(step.command)...),
				}
				if i < len(tc.keeping) {
					want.KeepIn, want.Post = "/indelible/kept/report", fmt.Sprintf("/tekton/run/%d/out", i)
					letsBegin := fmt.Sprintf(" -post_file /tekton/run/%d/out.unkept --", i)
					want.Command = append([]string{"/tekton/bin/entrypoint"},
						argv(strings.Replace(step.command, " --", letsBegin, 1))...)
				} else {
					want.UID, want.Server, want.Timeout, want.Kept = "6a1f1c5e-0f5b-4f5e-9a0e-0d2f5e0b7c11",
						"10.96.0.1:443",
						90*time.Second, tc.kept
				}
				c := pod.Spec.Containers[i]
				if diff := cmp.Diff([]string{"/indelible/bin/publisher"}, c.Command); diff != "" {
					t.Errorf("%s: command: %s", c.Name, diff)
				}
				got, err := publisher.ParseOptions(c.Args, io.Discard)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s", c.Name, diff)
				}
			}
		})
	}
}

// keeping is a step that keeps what it reports for the last one.
type keeping struct {
	command string
	own     publisher.StepResults
}

// argv splits at spaces up to a "|", and takes what follows it as one argument.
func argv(s string) []string {
	before, after, ok := strings.Cut(s, "|")
	args := strings.Fields(before)
	if ok {
		args = append(args, after)
	}
	return args
}

// TestPatchTouchesNothingElse: without everything that the package owns, the Pod is unchanged, down
// to fields unknown to every version of the API.
func TestPatchTouchesNothingElse(t *testing.T) {
	names := []string{"one-step", "multi-step", "step-results-only", "sidecar", "native-sidecar", "breakpoint",
		"compressed"}
	for _, name := range names {
		for _, delivery := range []Delivery{DeliveryImageVolume, DeliveryInitContainer} {
			t.Run(name+" "+string(delivery), func(t *testing.T) {
				raw := edit(t, readPod(t, name), func(pod tree) {
					pod["spec"].(tree)["fromTheFuture"] = tree{"a": 1.0}
					at(pod, "spec", "containers", 0).(tree)["fromTheFuture"] = []any{true}
					at(pod, "spec", "volumes", 0).(tree)["fromTheFuture"] = "x"
				})
				settings := testSettings
				settings.Delivery = delivery
				after, _ := handle(t, Options{Settings: func() Settings { return settings }}, raw)
				want, got := parse(t, raw), parse(t, after)
				for _, pod := range []tree{want, got} {
					for _, c := range at(pod, "spec", "containers").([]any) {
						if strings.HasPrefix(at(c, "name").(string), "step-") {
							delete(c.(tree), "args")
							delete(c.(tree), "command")
						}
						if mounts, ok := at(c, "volumeMounts").([]any); ok {
							c.(tree)["volumeMounts"] = withoutOurs(mounts)
						}
					}
					spec := pod["spec"].(tree)
					spec["volumes"] = withoutOurs(spec["volumes"].([]any))
					spec["initContainers"] = withoutOurs(spec["initContainers"].([]any))
					delete(at(pod, "metadata", "annotations").(tree), "indelible.dev/injected")
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func withoutOurs(list []any) []any {
	return slices.DeleteFunc(slices.Clone(list), func(v any) bool {
		return strings.HasPrefix(at(v, "name").(string),
			"indelible-")
	})
}

func TestApplyingTwiceEqualsOnce(t *testing.T) {
	for _, name := range []string{"one-step", "multi-step", "step-results-only", "native-sidecar"} {
		for _, delivery := range []Delivery{DeliveryImageVolume, DeliveryInitContainer} {
			settings := testSettings
			settings.Delivery = delivery
			o := Options{Settings: func() Settings { return settings }}
			once, first := handle(t, o, readPod(t, name))
			twice, second := handle(t, o, once)
			if len(first.Patches) == 0 || len(second.Patches) > 0 || len(second.Warnings) > 0 {
				t.Errorf("%s %s: %d, then %d operations, warnings %q", name, delivery, len(first.Patches),
					len(second.Patches),
					second.Warnings)
			}
			if diff := cmp.Diff(parse(t, once), parse(t, twice)); diff != "" {
				t.Errorf("%s %s: %s", name, delivery, diff)
			}
		}
	}
}

// hasPublisher says whether a response changes more than annotations.
func hasPublisher(r admission.Response) bool {
	return slices.ContainsFunc(r.Patches, func(op gomodules.Operation) bool {
		return !strings.HasPrefix(op.Path,
			"/metadata/annotations")
	})
}

// counted returns the counters of indelible_inject_pods_total that are not zero, and "rechunked",
// and checks that each decision was timed.
func counted(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts, timed := map[string]float64{}, uint64(0)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			timed += m.GetHistogram().GetSampleCount()
			switch v := m.GetCounter().GetValue(); {
			case v == 0:
			case len(m.GetLabel()) == 0:
				counts["rechunked"] = v
			default:
				counts[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = v
			}
		}
	}
	if timed != 1 {
		t.Errorf("%d decisions timed", timed)
	}
	return counts
}

func TestOtherRequestsAreLeftAlone(t *testing.T) {
	tests := map[string]func(*admission.Request){
		"allow an update":            func(r *admission.Request) { r.Operation = admissionv1.Update },
		"allow another resource":     func(r *admission.Request) { r.Resource.Resource = "secrets" },
		"allow a subresource":        func(r *admission.Request) { r.SubResource = "binding" },
		"allow another group's pods": func(r *admission.Request) { r.Resource.Group = "metrics.k8s.io" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			req := create(readPod(t, "one-step"))
			change(&req)
			h := New(Options{Settings: func() Settings { return testSettings }, Log: logr.Discard()})
			if r := h.Handle(context.Background(), req); !r.Allowed || len(r.Patches) > 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestInjectedIsCounted(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	handle(t, Options{Metrics: NewMetrics(registry)}, readPod(t, "one-step"))
	if diff := cmp.Diff(map[string]float64{"injected ": 1}, counted(t, registry)); diff != "" {
		t.Error(diff)
	}
}

func TestBadSettingsLeaveThePodAlone(t *testing.T) {
	tests := map[string]struct {
		settings Settings
		want     string
	}{
		"no image": {Settings{Delivery: DeliveryAuto}, "internal error: no publisher image is configured"},
		"unknown delivery": {Settings{Image: "p", Delivery: "post"},
			`internal error: choose delivery: unknown delivery "post"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, response := handle(t, Options{Settings: func() Settings { return tc.settings }}, readPod(t, "one-step"))
			if hasPublisher(response) || !strings.HasSuffix(strings.Join(response.Warnings, ""), tc.want) {
				t.Errorf("patches %v, warnings %q", response.Patches, response.Warnings)
			}
		})
	}
}

// answer is a ClusterInfo that always says the same.
type answer struct {
	ok  bool
	err error
}

func (a answer) SupportsImageVolumes(context.Context) (bool, string, error) {
	return a.ok, "because", a.err
}

func TestAutoDelivery(t *testing.T) {
	tests := map[string]struct {
		configured Delivery
		cluster    ClusterInfo
		want       string
	}{
		"auto uses image volumes where they are": {DeliveryAuto, answer{ok: true}, "image-volume"},
		"auto uses an init container elsewhere":  {DeliveryAuto, answer{}, "init-container"},
		"auto uses an init container when unsure": {DeliveryAuto, answer{ok: true, err: errors.New("x")},
			"init-container"},
		"auto uses an init container when nobody knows": {DeliveryAuto, nil, "init-container"},
		"nothing configured means auto":                 {"", answer{ok: true}, "image-volume"},
		"image volumes can be demanded":                 {DeliveryImageVolume, answer{}, "image-volume"},
		"an init container can be demanded":             {DeliveryInitContainer, answer{ok: true}, "init-container"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			settings := testSettings
			settings.Delivery = tc.configured
			after, _ := handle(t, Options{Settings: func() Settings { return settings }, Cluster: tc.cluster},
				readPod(t,
					"one-step"))
			if got := at(parse(t, after), "metadata", "annotations", "indelible.dev/injected"); got != tc.want {
				t.Errorf("got %v, want %s", got, tc.want)
			}
		})
	}
}
