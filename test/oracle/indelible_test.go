package oracle

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/admission/guard"
	"github.com/indelible-ci/indelible/pkg/publisher"
	"github.com/indelible-ci/indelible/pkg/result"
)

const controllerName = "system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"

var (
	controller = authenticationv1.UserInfo{Username: controllerName,
		Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	ownPod = podUser("team", "run-pod", "pod-uid")
)

func podUser(namespace, pod, uid string) authenticationv1.UserInfo {
	return authenticationv1.UserInfo{
		Username: "system:serviceaccount:" + namespace + ":default",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{
			"authentication.kubernetes.io/pod-name": {pod}, "authentication.kubernetes.io/pod-uid": {uid},
		},
	}
}

// onePod is the only Pod there is: the TaskRun's.
type onePod struct{}

func (onePod) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	if namespace != "team" || name != "run-pod" {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, name)
	}
	owns := true
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, UID: "pod-uid",
		OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "tekton.dev/v1", Kind: "TaskRun", Name: "run", UID: "run-uid", Controller: &owns},
		}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "step-build",
		Command: []string{result.PublisherPath}}}}}, nil
}

func options() guard.Options {
	return guard.Options{
		Settings: func() guard.Settings {
			return guard.Settings{Controllers: []string{controllerName}, Limits: result.DefaultLimits()}
		},
		Pods: onePod{}, Log: logr.Discard(),
	}
}

// admit asks a handler and applies the patch of its answer, as the API server does. The object is
// nil if it is denied.
func admit(
	t testing.TB, h admission.Handler, user authenticationv1.UserInfo, stored, incoming []byte,
) ([]byte, *admission.Response) {
	t.Helper()
	req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Operation: admissionv1.Update, Namespace: "team", Name: "run", SubResource: "status", UserInfo: user,
		Resource: metav1.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "taskruns"},
		Object:   runtime.RawExtension{Raw: incoming}, OldObject: runtime.RawExtension{Raw: stored},
	}}
	resp := h.Handle(context.Background(), req)
	if !resp.Allowed {
		return nil, &resp
	}
	if len(resp.Patch) == 0 {
		return incoming, &resp
	}
	patch, err := jsonpatch.DecodePatch(resp.Patch)
	must(t, err)
	final, err := patch.Apply(incoming)
	if err != nil || !json.Valid(final) {
		t.Fatalf("the patch does not apply to %s: %v\n%s", incoming, err, resp.Patch)
	}
	return final, &resp
}

// apiServer answers the publisher: it asks the guard about the sparse object, and stores what comes
// of it.
type apiServer struct {
	*httptest.Server
	t      testing.TB
	stored []byte
	writes int
}

func newAPIServer(t testing.TB, credentials string) *apiServer {
	t.Helper()
	s := &apiServer{t: t}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	must(t, os.MkdirAll(credentials, 0o700))
	must(t, os.WriteFile(filepath.Join(credentials, "token"), []byte("token"), 0o600))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	must(t, os.WriteFile(filepath.Join(credentials, "ca.crt"), ca, 0o600))
	return s
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	incoming, err := io.ReadAll(r.Body)
	must(s.t, err)
	s.writes++
	final, resp := admit(s.t, guard.NewGuard(options()), ownPod, s.stored, incoming)
	w.Header().Set("Content-Type", "application/json")
	for _, warning := range resp.Warnings {
		w.Header().Add("Warning", fmt.Sprintf("299 - %q", warning))
	}
	if final == nil {
		w.WriteHeader(int(resp.Result.Code))
		must(s.t, json.NewEncoder(w).Encode(resp.Result))
		return
	}
	s.stored = final
	_, _ = w.Write(final)
}

// indelible is the real publisher, with the real guard behind an API server of ours.
type indelible struct {
	publisher, credentials string
	server                 *apiServer
}

func newIndelible(t testing.TB) *indelible {
	t.Helper()
	dir := t.TempDir()
	i := &indelible{publisher: filepath.Join(dir, "publisher"), credentials: filepath.Join(dir, "credentials")}
	out, err := exec.Command("go", "build", "-o", i.publisher,
		"github.com/indelible-ci/indelible/cmd/publisher").CombinedOutput()
	if err != nil {
		t.Fatalf("build the publisher: %v\n%s", err, out)
	}
	i.server = newAPIServer(t, i.credentials)
	return i
}

// publish runs the publisher after a command that does nothing, in each step that has results of
// its own and in the last, and returns the last one's exit code and what is stored then.
func (i *indelible) publish(t testing.TB, task task, f folders, tr v1.TaskRun) (code int, stored []byte, said string) {
	t.Helper()
	body, err := json.Marshal(tr)
	must(t, err)
	i.server.t, i.server.stored = t, body
	o := publisher.Options{
		Namespace: "team", TaskRun: "run", UID: "run-uid", Server: i.server.Listener.Addr().String(),
		Results:    task.given(),
		ResultsDir: f.results(), Credentials: i.credentials,
		Timeout: 20 * time.Second, Limits: result.DefaultLimits(),
		TerminationMessage: filepath.Join(f.root, "publisher-termination"),
		Command:            []string{"/bin/true"},
	}
	for n := range task.spec.Steps {
		names := task.givenOf(n)
		if n == len(task.spec.Steps)-1 {
			if len(names) > 0 {
				o.Own = publisher.StepResults{Step: task.stepName(n), Dir: f.stepDir(n), Names: names}
			}
			break
		}
		if len(names) == 0 {
			continue
		}
		keeps := o
		keeps.Kept, keeps.KeepIn = nil, filepath.Join(f.root, fmt.Sprintf("report-%d", n))
		keeps.Own = publisher.StepResults{Step: task.stepName(n), Dir: f.stepDir(n), Names: names}
		if code, said := i.run(t, keeps); code != 0 {
			t.Fatalf("step %d cannot keep its report: %d %s", n, code, said)
		}
		o.Kept = append(o.Kept, publisher.StepResults{Step: task.stepName(n), Dir: keeps.KeepIn, Names: names})
	}
	code, said = i.run(t, o)
	return code, i.server.stored, said
}

func (i *indelible) run(t testing.TB, o publisher.Options) (code int, said string) {
	t.Helper()
	cmd := exec.Command(i.publisher, o.Args()...)
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("run the publisher: %v", err)
	}
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(string(out))
}

// handlerWith asks a handler about a changed request.
func handlerWith(h admission.Handler, change func(*admissionv1.AdmissionRequest)) admission.Handler {
	return admission.HandlerFunc(func(ctx context.Context, req admission.Request) admission.Response {
		change(&req.AdmissionRequest)
		return h.Handle(ctx, req)
	})
}
