//go:build e2e

package e2e

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/test/harness"
)

// otherWebhook is a foreign mutating webhook. It records the fields of the last object it saw, and
// answers with a patch.
type otherWebhook struct {
	// patchOf, if any, makes the patch of an object.
	patchOf func(object []byte) string

	mu     sync.Mutex
	patch  string
	fields []string
}

func (o *otherWebhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	var object map[string]any
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.Unmarshal(review.Request.Object.Raw, &object)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fields = o.fields[:0]
	for key := range object {
		o.fields = append(o.fields, key)
	}
	metadata, _ := object["metadata"].(map[string]any)
	for key := range metadata {
		o.fields = append(o.fields, "metadata."+key)
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	patch := o.patch
	if o.patchOf != nil {
		patch = o.patchOf(review.Request.Object.Raw)
	}
	if patch != "" {
		jsonPatch := admissionv1.PatchTypeJSONPatch
		review.Response.Patch, review.Response.PatchType = []byte(patch), &jsonPatch
	}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review)
}

func (o *otherWebhook) answers(patch string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.patch = patch
}

func (o *otherWebhook) saw(field string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.fields, field)
}

// statuses are the writes of TaskRuns' statuses, podsCreated the creations of pods.
var (
	statuses = admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
		Rule: admissionregistrationv1.Rule{APIGroups: []string{"tekton.dev"}, APIVersions: []string{"v1"},
			Resources: []string{"taskruns/status"}},
	}
	podsCreated = admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule: admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"},
			Resources: []string{"pods"}},
	}
)

// install has the API server ask it about requests in one namespace.
func (o *otherWebhook) install(p *place, name string, rule admissionregistrationv1.RuleWithOperations) {
	p.t.Helper()
	server := httptest.NewTLSServer(o)
	p.t.Cleanup(server.Close)
	fail, none := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone
	configurations := cluster.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := configurations.Create(p.ctx, &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: name + ".e2e.indelible.dev", AdmissionReviewVersions: []string{"v1"}, FailurePolicy: &fail,
			SideEffects:       &none,
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: p.namespace}},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL:      &server.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{rule},
		}},
	}, metav1.CreateOptions{})
	p.must(err)
	p.t.Cleanup(func() {
		if err := configurations.Delete(p.ctx, name, metav1.DeleteOptions{}); err != nil {
			p.t.Errorf("removing %s: %v", name, err)
		}
	})
}

// TestOtherMutatingWebhooks installs one foreign mutating webhook that is called before ours and
// one that is called after: the first sees what the publisher sends, the second a whole TaskRun.
// What they add counts as the pod's, or has no effect.
func TestOtherMutatingWebhooks(t *testing.T) {
	t.Parallel()
	s := newStageWithoutGrant(newPlace(t))
	if !cluster.IsLocal() {
		t.Skip("only the local cluster's API server can call a webhook of the test's own process")
	}
	run := s.makeTaskRun("fresh", ``)
	before, after := &otherWebhook{}, &otherWebhook{}
	before.install(s.place, "a-"+s.namespace, statuses)
	after.install(s.place, "z-"+s.namespace, statuses)
	publish := func() (*pipelinev1.TaskRun, error) {
		tr := &pipelinev1.TaskRun{}
		return tr, s.writers["fresh-pod"].PutSparse(s.namespace, "fresh", run.UID,
			`{"results":[{"name":"text","value":"v"}]}`).
			Param("dryRun", "All").Do(s.ctx).Into(tr)
	}
	s.must(harness.Eventually(s.ctx, "the API server to ask both", func() (bool, error) {
		if _, err := publish(); err != nil {
			return false, err
		}
		return before.saw("status") && after.saw("status"), nil
	}))
	if before.saw("spec") || before.saw("metadata.resourceVersion") || !before.saw("metadata.uid") {
		t.Errorf("the one before ours saw %v, want a sparse object", before.fields)
	}
	if !after.saw("spec") || !after.saw("metadata.resourceVersion") || !after.saw("metadata.managedFields") {
		t.Errorf("the one after ours saw %v, want a whole object", after.fields)
	}

	label := `[{"op":"add","path":"/metadata/labels","value":{"e2e":"x"}}]`
	for _, tt := range []struct {
		name          string
		before, after string
		denial        string // "": stored as the pod has sent it
	}{
		{"forbid a label that is added before ours", label, "", `not change "metadata.labels"`},
		{"forbid a condition that is added before ours",
			`[{"op":"add","path":"/status/conditions","value":[{"type":"Succeeded","status":"True"}]}]`,
			"", `not change "status.conditions"`},
		{"allow a label that is added after ours, which the API server drops", "", label, ""},
		{"forbid a status that is changed after ours", "",
			`[{"op":"replace","path":"/status/podName","value":"another"}]`,
			policyDenies},
		{"forbid a result that is added after ours and that nobody has declared", "",
			`[{"op":"add","path":"/status/results/-","value":{"name":"IMAGE_DIGEST","type":"string","value":"v"}}]`,
			policyDenies},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before.answers(tt.before)
			after.answers(tt.after)
			tr, err := publish()
			switch {
			case tt.denial == "" && err != nil:
				t.Errorf("denied: %v", err)
			case tt.denial == "":
				wantResults(t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("v")})
				if tr.Labels["e2e"] != "" {
					t.Error("the label is there")
				}
			case err == nil || !strings.Contains(err.Error(), tt.denial):
				t.Errorf("got %v, want a denial with %q", err, tt.denial)
			}
		})
	}
	before.answers("")
	after.answers("")
}
