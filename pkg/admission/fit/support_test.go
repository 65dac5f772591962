package fit

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/result"
)

const controllerName = "system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"

// fields and list shorten tables.
type (
	fields = map[string]any
	list   = []any
)

// recorded are the events of a handler, as "name reason: message".
type recorded []string

func (r *recorded) Event(object runtime.Object, _, reason, message string) {
	*r = append(*r, object.(*corev1.ObjectReference).Name+" "+reason+": "+message)
}

// answer is what a handler made of a write.
type answer struct {
	admission.Response
	object fields
	events recorded
}

// ask asks about a write: of a status, or, without a stored object, a creation. Kinds are TaskRun
// and PipelineRun.
func ask(t *testing.T, kind string, object, stored fields) answer {
	t.Helper()
	return askAbout(t, requestOf(t, kind, object, stored))
}

func requestOf(t *testing.T, kind string, object, stored fields) admission.Request {
	t.Helper()
	object["apiVersion"], object["kind"] = "tekton.dev/v1", kind
	object["metadata"] = fields{"namespace": "team", "name": "run", "uid": "run-uid"}
	req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "u", Operation: admissionv1.Create, Namespace: "team", Name: "run",
		Kind: metav1.GroupVersionKind{Group: "tekton.dev", Version: "v1", Kind: kind},
		Resource: metav1.GroupVersionResource{
			Group: "tekton.dev", Version: "v1", Resource: strings.ToLower(kind) + "s",
		},
		UserInfo: authenticationv1.UserInfo{Username: controllerName},
		Object:   runtime.RawExtension{Raw: marshal(t, object)},
	}}
	if stored != nil {
		req.Operation, req.SubResource, req.OldObject.Raw = admissionv1.Update, "status", marshal(t, stored)
	}
	return req
}

func askAbout(t *testing.T, req admission.Request) answer {
	t.Helper()
	var a answer
	h := New(Options{Events: &a.events, Authenticated: func(context.Context) bool { return true }, Log: logr.Discard(),
		Settings: func() Settings {
			return Settings{Controllers: []string{controllerName}, Limits: result.DefaultLimits()}
		}})
	a.Response = h.Handle(context.Background(), req)
	if err := a.Complete(req); err != nil {
		t.Fatal(err)
	}
	final := req.Object.Raw
	if len(a.Patch) > 0 {
		patch, err := jsonpatch.DecodePatch(a.Patch)
		if err != nil {
			t.Fatal(err)
		}
		if final, err = patch.Apply(final); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal(final, &a.object); err != nil && len(a.Patch) > 0 {
		t.Fatal(err)
	}
	return a
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// text is a value of n bytes; letter makes different ones.
func text(letter string, n int) string { return strings.Repeat(letter, n) }

// shortenedText is the expected replacement of a text, written out independently.
func shortenedText(text string) string {
	return fmt.Sprintf("[shortened by indelible.dev: %d bytes, sha256:%x]", len(text), sha256.Sum256([]byte(text)))
}

// condition is a list with a condition Succeeded.
func condition(status, reason, message string) list {
	return list{fields{"type": "Succeeded", "status": status, "reason": reason, "message": message}}
}

// wantStatus checks fields of the status as it would be stored.
func wantStatus(t *testing.T, a answer, want fields) {
	t.Helper()
	status, _ := a.object["status"].(fields)
	for key, value := range want {
		got, expected := string(marshal(t, status[key])), string(marshal(t, value))
		if got != expected {
			t.Errorf("status.%s is\n%.600s\nwant\n%.600s", key, got, expected)
		}
	}
}

func wantUnchanged(t *testing.T, a answer) {
	t.Helper()
	if !a.Allowed || len(a.Patch) > 0 || len(a.events) > 0 {
		t.Errorf("allowed %v, patch %.300s, events %q; want it to pass unchanged", a.Allowed, a.Patch, a.events)
	}
}
