package publisher

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// apiServer is a real HTTPS server that answers writes as a test says, and as the API server would
// when the test has nothing more to say: with the TaskRun that holds what was sent.
type apiServer struct {
	*httptest.Server
	host, port string

	mu       sync.Mutex
	answers  []http.HandlerFunc // one for each request, then store
	requests []request
}

type request struct {
	method, uri, contentType, accept, authorization string
	body                                            []byte
	closes                                          bool
}

func newAPIServer(t *testing.T, answers ...http.HandlerFunc) *apiServer {
	t.Helper()
	return startAPIServer(t, "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12}, answers...)
}

func startAPIServer(t *testing.T, address string, config *tls.Config, answers ...http.HandlerFunc) *apiServer {
	t.Helper()
	s := &apiServer{answers: answers}
	s.Server = httptest.NewUnstartedServer(s)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("cannot listen on %s: %v", address, err)
	}
	_ = s.Listener.Close()
	s.Listener = l
	s.TLS = config
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes and cut connections are wanted here
	s.StartTLS()
	t.Cleanup(s.Close)
	host, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.host, s.port = host, port
	return s
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := len(s.requests)
	s.requests = append(s.requests, request{
		method: r.Method, uri: r.RequestURI, contentType: r.Header.Get("Content-Type"), accept: r.Header.Get("Accept"),
		authorization: r.Header.Get("Authorization"), closes: r.Close,
	})
	s.mu.Unlock()
	if n < len(s.answers) && s.answers[n] != nil {
		s.answers[n](w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.requests[n].body = body
	s.mu.Unlock()
	store(w, body)
}

// store answers with a TaskRun that holds what was sent, encoded as the API server encodes.
func store(w http.ResponseWriter, sent []byte) {
	var object map[string]any
	if err := json.Unmarshal(sent, &object); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
}

func (s *apiServer) seen() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.requests...)
}

// env is the environment that leads a publisher here.
func (s *apiServer) env(name string) string {
	return map[string]string{"KUBERNETES_SERVICE_HOST": s.host, "KUBERNETES_SERVICE_PORT": s.port}[name]
}

// credentials writes token and CA as the kubelet would.
func (s *apiServer) credentials(t *testing.T, dir, token string) {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	for name, content := range map[string][]byte{"ca.crt": ca, "token": []byte(token)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// status answers with a Status object, in the form of k8s.io/apimachinery's metav1.Status.
func status(code int, reason, message string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{},
			"status": "Failure", "message": message, "reason": reason, "code": code})
	}
}

// raw answers with text that is no Status.
func raw(code int, text string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	panic(http.ErrAbortHandler)
}

// breakOff sends the head of an answer and half a body.
func breakOff(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"kind":"TaskRun","status":{`)
	panic(http.ErrAbortHandler)
}
