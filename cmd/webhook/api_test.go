package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

// api is what of an API server the webhook needs to start: a place for its Secret, Pods that are
// slow to read, and an answer about the grant. Everything else does not exist. What the webhook
// does on a real one is tested in test/e2e.
type api struct {
	kubeconfig string
	granted    bool          // service accounts may write TaskRun statuses
	asked      chan struct{} // a Pod was asked for
	answer     chan struct{} // closed: now say that there is none

	mu     sync.Mutex
	secret *corev1.Secret
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), asked: make(chan struct{}, 1),
		answer: make(chan struct{})}
	mux := http.NewServeMux()
	const secrets = "/api/v1/namespaces/indelible-system/secrets"
	mux.HandleFunc("POST "+secrets, a.createSecret)
	mux.HandleFunc("GET "+secrets+"/indelible-webhook-certs", a.getSecret)
	mux.HandleFunc("GET /api/v1/namespaces/team/pods/{pod}", func(w http.ResponseWriter, _ *http.Request) {
		a.asked <- struct{}{}
		<-a.answer
		notFound(w)
	})
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w,
				`{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","status":{"allowed":%v}}`,
				a.granted)
		})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { notFound(w) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	write(t, a.kubeconfig, fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c",
		"contexts":[{"name":"c","context":{"cluster":"c","user":"c"}}],"users":[{"name":"c"}],
		"clusters":[{"name":"c","cluster":{"server":%q}}]}`, server.URL))
	return a
}

func (a *api) createSecret(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	a.secret = object.(*corev1.Secret)
	a.mu.Unlock()
	a.getSecret(w, r)
}

func (a *api) getSecret(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.secret == nil {
		notFound(w)
		return
	}
	a.secret.APIVersion, a.secret.Kind = "v1", "Secret"
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.secret)
}

// bundle is what the webhook put into its Secret for API servers to trust.
func (a *api) bundle() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.secret.Data["ca.crt"]
}

func notFound(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"NotFound","code":404}`)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
