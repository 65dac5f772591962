package admission_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/indelible-ci/indelible/pkg/admission"
	"github.com/indelible-ci/indelible/pkg/admission/fit"
	"github.com/indelible-ci/indelible/pkg/admission/guard"
	"github.com/indelible-ci/indelible/pkg/admission/inject"
	"github.com/indelible-ci/indelible/pkg/admission/protect"
	"github.com/indelible-ci/indelible/pkg/result"
)

// Whatever comes as an AdmissionReview, over HTTP and to any of the handlers: none panics (a panic
// would be answered with status 500), and a review that apimachinery's own decoder reads is
// answered for its UID, by a denial, or by an allowance whose patch makes of the object a JSON
// object again.
func FuzzReview(f *testing.F) {
	for _, seed := range reviews {
		f.Add([]byte(seed))
	}
	server := newServer()
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range paths {
			check(t, path, body, post(server, path, body))
		}
	})
}

// The property is worth something only if some reviews are answered with a patch.
func TestSomeReviewsAreAnsweredWithAPatch(t *testing.T) {
	server := newServer()
	for _, path := range paths {
		patched := 0
		for _, body := range reviews {
			if answer := post(server, path, []byte(body)); bytes.Contains(answer.Body.Bytes(), []byte(`"patch":`)) {
				patched++
			}
		}
		if patched == 0 {
			t.Errorf("%s answers no seed with a patch", path)
		}
	}
}

// paths are those that answer with patches; /report does the same as /guard, and answers nothing.
var paths = []string{admission.InjectPath, admission.GuardPath, admission.CarryOverPath, admission.FitPath,
	admission.ProtectPath}

func post(server *http.Server, path string, body []byte) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path+"?timeout=10s", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	server.Handler.ServeHTTP(recorder, request)
	return recorder
}

// reviews are the seeds.
var reviews = []string{
	``, `{`, `null`, `[]`, `{"request":null}`, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`,
	`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"u"}}`,
	review(`"operation":"CREATE","resource":{"version":"v1","resource":"pods"},"object":` + pod),
	review(`"operation":"CREATE","resource":{"group":"tekton.dev","version":"v1","resource":"taskruns"},"object":{"metadata":{"finalizers":["a/b"]}}`),
	review(status +
		`"object":{"metadata":{"namespace":"team","name":"run","uid":"run-uid"},"status":{"podName":"run-pod",` + spec +
		`,"results":[{"name":"a","value":"v"}]}},` + stored),
	review(status + `"object":{"status":{"results":[{"name":"a","value":"v"}]}},` + stored),
	review(status + `"object":null,"oldObject":null`), review(status + `"object":5,"oldObject":"x"`),
	review(status + `"object":{"status":{"steps":[{"name":"s"}]}},"oldObject":{}`),
	review(status +
		`"dryRun":true,"userInfo":{"username":"ada"},"object":{"status":{}},"oldObject":{"status":{"results":[{"name":"a"}]}}`),
	review(`"operation":"UPDATE","subResource":"status","resource":{"group":"tekton.dev","version":"v1","resource":"pipelineruns"},` + controller +
		`"object":{"metadata":{"annotations":{"indelible.dev/too-large":"why"}},"status":{"conditions":[{"type":"Succeeded","status":"False"}],"results":[{"name":"a"}]}},"oldObject":null`),
	review(status + controller +
		`"object":{"status":{"steps":[{"name":"s"}]}},"oldObject":{"status":{"results":[{"name":"a"}],"steps":[{"name":"s","results":[{"name":"b","value":"w"}]}]}}`),
}

const (
	pod = `{"metadata":{"name":"run-pod","labels":{"tekton.dev/taskRun":"run"},"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"TaskRun","name":"run","uid":"run-uid","controller":true}]},
	  "spec":{"containers":[{"name":"step-x","command":["/tekton/bin/entrypoint"],"terminationMessagePath":"/tekton/termination","args":["-post_file","/tekton/run/0/out","-results","a","-entrypoint","sh","--"],
	  "volumeMounts":[{"name":"r","mountPath":"/tekton/results"}]}],"volumes":[{"name":"r","emptyDir":{}}]}}`
	spec       = `"taskSpec":{"results":[{"name":"a","type":"string"}]}`
	controller = `"userInfo":{"username":"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"},`

	status = `"operation":"UPDATE","namespace":"team","name":"run","subResource":"status","resource":{"group":"tekton.dev","version":"v1","resource":"taskruns"},`
	stored = `"userInfo":{"username":"system:serviceaccount:team:default","extra":{"authentication.kubernetes.io/pod-name":["run-pod"],"authentication.kubernetes.io/pod-uid":["pod-uid"]}},
	  "oldObject":{"metadata":{"namespace":"team","name":"run","uid":"run-uid"},"status":{"podName":"run-pod",` + spec + `}}`
)

func review(request string) string {
	return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u",` + request + `}}`
}

func newServer() *http.Server {
	options := guard.Options{
		Settings: func() guard.Settings {
			return guard.Settings{Controllers: []string{"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"},
				Limits: result.DefaultLimits()}
		},
		Pods: runPod{}, Log: logr.Discard(),
	}
	return admission.NewServer(admission.Options{
		Inject: inject.New(inject.Options{Log: logr.Discard(), Settings: func() inject.Settings {
			return inject.Settings{Image: "publisher", Delivery: inject.DeliveryImageVolume, Timeout: 1,
				Limits: result.DefaultLimits()}
		}}),
		Fit: fit.New(fit.Options{Log: logr.Discard(), Settings: func() fit.Settings {
			now := options.Settings()
			return fit.Settings{Controllers: now.Controllers, Limits: now.Limits}
		}}),
		Guard: guard.NewGuard(options), GuardElsewhere: guard.NewGuardElsewhere(options),
		CarryOver: guard.NewCarryOver(options), Report: guard.NewReport(options),
		Protect: protect.New(protect.Options{Log: logr.Discard()}), Log: logr.Discard(),
	})
}

// runPod is the only Pod there is.
type runPod struct{}

func (runPod) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	if namespace != "team" || name != "run-pod" {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, name)
	}
	controls := true
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, UID: "pod-uid",
		OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "tekton.dev/v1", Kind: "TaskRun", Name: "run", UID: "run-uid", Controller: &controls},
		}}}, nil
}

func check(t *testing.T, path string, body []byte, recorder *httptest.ResponseRecorder) {
	t.Helper()
	if recorder.Code == http.StatusInternalServerError {
		t.Fatalf("%s panics: %s", path, recorder.Body)
	}
	var asked, answered admissionv1.AdmissionReview
	if json.Unmarshal(body, &asked) != nil || asked.Request == nil || recorder.Code != http.StatusOK {
		return
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &answered); err != nil || answered.Response == nil {
		t.Fatalf("%s answers with no review: %v\n%s", path, err, recorder.Body)
	}
	resp := answered.Response
	if !resp.Allowed {
		if resp.Result == nil || resp.Result.Code < 400 || len(resp.Patch) > 0 {
			t.Fatalf("%s denies without a reason, or with a patch: %+v", path, resp)
		}
		return
	}
	if len(resp.Patch) == 0 {
		return
	}
	patch, err := jsonpatch.DecodePatch(resp.Patch)
	if err != nil {
		t.Fatalf("%s answers with no JSON patch: %v\n%s", path, err, resp.Patch)
	}
	final, err := patch.Apply(asked.Request.Object.Raw)
	if err != nil || json.Unmarshal(final, &map[string]any{}) != nil {
		t.Fatalf("the patch of %s does not apply to %s: %v\n%s", path, asked.Request.Object.Raw, err, resp.Patch)
	}
}
