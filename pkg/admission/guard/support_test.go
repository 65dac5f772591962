package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/result"
)

const controllerName = "system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"

// running is a TaskRun while its pod runs, as the API server stores it.
const running = `{
  "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
  "metadata": {"name": "build", "namespace": "team", "uid": "run-uid", "resourceVersion": "7", "labels": {"app": "x"},
    "managedFields": [{"manager": "controller", "operation": "Update"}]},
  "spec": {"serviceAccountName": "default", "taskRef": {"name": "build"}},
  "status": {
    "podName": "build-pod", "startTime": "2026-01-02T03:04:05Z",
    "annotations": {"a": "b"}, "spanContext": {"t": "1"}, "provenance": {"refSource": {"uri": "git"}},
    "artifacts": {"outputs": []}, "observedGeneration": 1, "sidecars": [{"name": "s", "container": "sidecar-s"}],
    "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running"}],
    "steps": [
      {"name": "build", "container": "step-build", "imageID": "img@sha256:1", "running": {"startedAt": "2026-01-02T03:04:06Z"}},
      {"name": "sign", "container": "step-sign", "imageID": "img@sha256:2", "running": {"startedAt": "2026-01-02T03:04:07Z"}}
    ],
    "taskSpec": {
      "results": [
        {"name": "text", "type": "string"},
        {"name": "list", "type": "array"},
        {"name": "map", "type": "object", "properties": {"a": {"type": "string"}}},
        {"name": "digest", "type": "string", "value": "$(steps.build.results.digest)"},
        {"name": "files", "type": "array", "value": "$(steps.build.results.files)"}
      ],
      "steps": [
        {"name": "build", "image": "i", "results": [{"name": "digest", "type": "string"}, {"name": "files", "type": "array"}]},
        {"name": "sign", "image": "i", "results": [{"name": "sig", "type": "string"}]}
      ]
    }
  }
}`

// withStatus returns running with a merge patch applied to its status.
func withStatus(t testing.TB, patch string) string {
	t.Helper()
	return mergePatch(t, running, `{"status":`+patch+`}`)
}

// sparse is the object that the publisher sends: names, the UID and a status, with no entry of
// managedFields but the one that the API server has made of it.
func sparse(status string) string {
	return `{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": "build", "namespace": "team", "uid": "run-uid"},
	  "status": ` + status + `}`
}

// marked is an object on which the own pod has published that its steps wrote nothing.
func marked(t testing.TB, object string) string {
	t.Helper()
	return mergePatch(t, object, `{"status":{"annotations":{"indelible.dev/published":"pod-uid"}}}`)
}

func mergePatch(t testing.TB, object, patch string) string {
	t.Helper()
	out, err := jsonpatch.MergePatch([]byte(object), []byte(patch))
	if err != nil {
		t.Fatalf("merge %s: %v", patch, err)
	}
	return string(out)
}

// The writers of the tests.
var (
	trustedController = authenticationv1.UserInfo{Username: controllerName, Groups: []string{"system:serviceaccounts"}}
	ownPod            = podUser("team", "build-pod", "pod-uid")
	otherPod          = podUser("team", "other-pod", "other-uid")
	unboundAccount    = authenticationv1.UserInfo{Username: "system:serviceaccount:team:default",
		Groups: []string{"system:serviceaccounts"}}
	person = authenticationv1.UserInfo{Username: "ada", Groups: []string{"system:authenticated"}}
)

func podUser(namespace, pod, uid string) authenticationv1.UserInfo {
	return authenticationv1.UserInfo{
		Username: "system:serviceaccount:" + namespace + ":default",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace},
		Extra: map[string]authenticationv1.ExtraValue{
			"authentication.kubernetes.io/pod-name": {pod},
			"authentication.kubernetes.io/pod-uid":  {uid},
		},
	}
}

// fakePods is the API server's pods by name.
type fakePods map[string]*corev1.Pod

var errBroken = errors.New("connection refused")

func (f fakePods) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	if f == nil {
		return nil, errBroken
	}
	if pod := f[name]; pod != nil && pod.Namespace == namespace {
		return pod, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, name)
}

func taskRunPod(name, uid, ownerUID string) *corev1.Pod {
	controller := true
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "team", Name: name, UID: types.UID(uid),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "tekton.dev/v1", Kind: "TaskRun", Name: "build", UID: types.UID(ownerUID),
			Controller: &controller,
		}},
	}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "sidecar-x", Command: []string{"sh"}},
		{Name: "step-build", Command: []string{"/indelible/bin/publisher"}}}}}
}

func livePods() fakePods { return fakePods{"build-pod": taskRunPod("build-pod", "pod-uid", "run-uid")} }

// recordedEvents keeps what was reported.
type recordedEvents []string

func (r *recordedEvents) Event(object runtime.Object, eventtype, reason, message string) {
	if about := object.(*corev1.ObjectReference); about.Kind != "TaskRun" || about.Namespace != "team" ||
		about.Name != "build" || about.UID != "run-uid" {
		message = fmt.Sprintf("%s, about %v", message, about)
	}
	*r = append(*r, eventtype+" "+reason+": "+message)
}

// bench is a guard and a carry-over with everything they touch.
type bench struct {
	t       testing.TB
	options Options
	events  recordedEvents
	denials recordedEvents
	log     strings.Builder
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t}
	b.options = Options{
		Settings: func() Settings {
			return Settings{Controllers: []string{controllerName}, Limits: result.DefaultLimits()}
		},
		Pods:   livePods(),
		Events: &b.events, Denials: &b.denials,
		Authenticated: func(context.Context) bool { return true },
		Log: funcr.New(func(prefix, args string) { b.log.WriteString(prefix + " " + args + "\n") },
			funcr.Options{}),
	}
	return b
}

func (b *bench) limits(l result.Limits) *bench {
	b.options.Settings = func() Settings { return Settings{Controllers: []string{controllerName}, Limits: l} }
	return b
}

func request(user authenticationv1.UserInfo, stored, incoming string) admission.Request {
	return admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "request", Operation: admissionv1.Update, Namespace: "team", Name: "build",
		Kind:        metav1.GroupVersionKind{Group: "tekton.dev", Version: "v1", Kind: "TaskRun"},
		Resource:    metav1.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "taskruns"},
		SubResource: "status", UserInfo: user,
		Object: runtime.RawExtension{Raw: []byte(incoming)}, OldObject: runtime.RawExtension{Raw: []byte(stored)},
	}}
}

// guard decides a write of incoming over stored and returns the answer and the object that would be
// stored.
func (b *bench) guard(user authenticationv1.UserInfo, stored, incoming string) (admission.Response, string) {
	b.t.Helper()
	return b.complete(NewGuard(b.options), request(user, stored, incoming))
}

// report asks about a write that the guard is about to decide. Nothing of the answer changes
// anything.
func (b *bench) report(req admission.Request) {
	b.t.Helper()
	if resp := NewReport(b.options).Handle(context.Background(), req); !resp.Allowed || resp.Patch != nil ||
		resp.Warnings != nil {
		b.t.Errorf("the report is answered %+v", resp)
	}
}

func (b *bench) carryOver(user authenticationv1.UserInfo, stored, incoming string) (admission.Response, string) {
	b.t.Helper()
	return b.complete(NewCarryOver(b.options), request(user, stored, incoming))
}

// complete handles a request as the webhook server does, and applies the answer's patch as the API
// server does.
func (b *bench) complete(h admission.Handler, req admission.Request) (admission.Response, string) {
	b.t.Helper()
	resp := h.Handle(context.Background(), req)
	if err := resp.Complete(req); err != nil {
		b.t.Fatalf("complete the response: %v", err)
	}
	if !resp.Allowed {
		return resp, string(req.OldObject.Raw)
	}
	if len(resp.Patch) == 0 {
		return resp, string(req.Object.Raw)
	}
	patch, err := jsonpatch.DecodePatch(resp.Patch)
	if err != nil {
		b.t.Fatalf("the patch is no JSON patch: %v\n%s", err, resp.Patch)
	}
	final, err := patch.Apply(req.Object.Raw)
	if err != nil {
		b.t.Fatalf("the patch does not apply: %v\n%s", err, resp.Patch)
	}
	return resp, string(final)
}

func decode(t testing.TB, object string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(object), &m); err != nil {
		t.Fatalf("decode %s: %v", object, err)
	}
	return m
}

func wantSame(t testing.TB, got, want string) {
	t.Helper()
	if diff := cmp.Diff(decode(t, want), decode(t, got)); diff != "" {
		t.Errorf("stored object differs (-want +got):\n%s", diff)
	}
}

// wantDenied checks a denial's code, reason, rule and text, and that it left exactly one line in
// the log.
func (b *bench) wantDenied(resp admission.Response, code int32, rule, text string) {
	b.t.Helper()
	if resp.Allowed {
		b.t.Fatalf("allowed with patch %s", resp.Patch)
	}
	reasons := map[int32]metav1.StatusReason{
		403: metav1.StatusReasonForbidden, 409: metav1.StatusReasonConflict,
		413: metav1.StatusReasonRequestEntityTooLarge,
		422: metav1.StatusReasonInvalid, 503: metav1.StatusReasonServiceUnavailable,
	}
	if resp.Result.Code != code || resp.Result.Reason != reasons[code] {
		b.t.Errorf("got %d %s, want %d %s (%s)", resp.Result.Code, resp.Result.Reason, code, reasons[code],
			resp.Result.Message)
	}
	if !strings.Contains(resp.Result.Message, text) {
		b.t.Errorf("message %q does not have %q", resp.Result.Message, text)
	}
	line := `"rule"="` + rule + `"`
	if strings.Count(b.log.String(), `"msg"="Denied a status write"`) != 1 || !strings.Contains(b.log.String(), line) {
		b.t.Errorf("want one log line with %s, got:\n%s", line, b.log.String())
	}
}

// counted returns a counter's value.
func counted(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatalf("read a counter: %v", err)
	}
	return m.GetCounter().GetValue()
}
