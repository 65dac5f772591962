package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// started is a server on a port of its own, and a client that trusts it.
type started struct {
	url    string
	client *http.Client
	log    *bytes.Buffer
}

func start(t *testing.T, o Options) *started {
	t.Helper()
	// httptest has a certificate, and a client for it.
	lender := httptest.NewUnstartedServer(nil)
	lender.EnableHTTP2 = true
	lender.StartTLS()
	t.Cleanup(lender.Close)
	s := &started{client: lender.Client(), log: &bytes.Buffer{}}
	var mu sync.Mutex
	o.Log = logr.New(funcr.New(func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(s.log, prefix, args)
	}, funcr.Options{}).GetSink())
	o.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &lender.TLS.Certificates[0], nil }
	for _, h := range []*admission.Handler{&o.Inject, &o.Guard, &o.GuardElsewhere, &o.CarryOver, &o.Report, &o.Fit,
		&o.Protect} {
		if *h == nil {
			*h = saying("unused")
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + listener.Addr().String()
	server := NewServer(o)
	done := make(chan error)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving ended with %v", err)
		}
	})
	return s
}

// saying allows every request with a message.
func saying(message string) admission.Handler {
	return admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
		return admission.Allowed(message)
	})
}

// review is a request with an object of about that many bytes.
func review(uid string, size int) []byte {
	object, _ := json.Marshal(map[string]string{"value": strings.Repeat("x", size)})
	body, _ := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  &admissionv1.AdmissionRequest{UID: types.UID(uid), Object: runtime.RawExtension{Raw: object}},
	})
	return body
}

// post returns the status and, of a review, the response.
func (s *started) post(t *testing.T, path string, body io.Reader) (int, string, *admissionv1.AdmissionResponse) {
	t.Helper()
	response, err := s.client.Post(s.url+path, "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer admissionv1.AdmissionReview
	if response.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return response.StatusCode, string(text), answer.Response
}

func TestPaths(t *testing.T) {
	s := start(t, Options{Inject: saying("inject"), Guard: saying("guard"), GuardElsewhere: saying("elsewhere"),
		CarryOver: saying("carry-over"), Report: saying("report"), Fit: saying("fit"), Protect: saying("protect")})
	for path, want := range map[string]string{"/inject": "inject", "/guard": "guard", "/guard-elsewhere": "elsewhere",
		"/carry-over": "carry-over", "/report": "report", "/fit": "fit", "/protect": "protect"} {
		t.Run("answers on "+path, func(t *testing.T) {
			status, text, answer := s.post(t, path+"?timeout=5s", bytes.NewReader(review("u-1", 10)))
			if status != http.StatusOK || !answer.Allowed || answer.UID != "u-1" || answer.Result.Message != want {
				t.Errorf("status %d, answer %s; want one that allows u-1 and says %q", status, text, want)
			}
		})
	}
	t.Run("knows no other path", func(t *testing.T) {
		if status, _, _ := s.post(t, "/", bytes.NewReader(review("u-1", 10))); status != http.StatusNotFound {
			t.Errorf("status %d, want 404", status)
		}
	})
}

func TestTLS(t *testing.T) {
	s := start(t, Options{})
	dial := func(config *tls.Config) (tls.ConnectionState, error) {
		config.RootCAs = s.client.Transport.(*http.Transport).TLSClientConfig.RootCAs
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), config)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState(), nil
	}
	t.Run("forbid TLS 1.1", func(t *testing.T) {
		if _, err := dial(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil ||
			!strings.Contains(err.Error(), "protocol version") {
			t.Errorf("got %v, want an error about the protocol version", err)
		}
	})
	t.Run("prefer TLS 1.3 and HTTP/2", func(t *testing.T) {
		state, err := dial(&tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil || state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != "h2" {
			t.Errorf("got %s and %q, error %v", tls.VersionName(state.Version), state.NegotiatedProtocol, err)
		}
	})
}

// A denial would be final whatever the failure policy says; see the package comment.
func TestPanicsAreErrorsNotDenials(t *testing.T) {
	tests := map[string]struct {
		panics func()
		log    string
	}{
		"names the type of what a handler panics with": {func() { panic(fmt.Errorf("secret %w", io.EOF)) },
			"panic with a *fmt.wrapError"},
		"repeats what the runtime says": {func() { _ = []string{"secret"}[len("secret")] },
			"index out of range [6] with length 1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t,
				Options{Inject: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
					tc.panics()
					return admission.Response{}
				})})
			status, text, _ := s.post(t, "/inject", bytes.NewReader(review("u-1", 10)))
			if status != http.StatusInternalServerError {
				t.Errorf("status %d, want 500", status)
			}
			if logged := s.log.String(); !strings.Contains(logged, tc.log) || strings.Contains(logged+text, "secret") {
				t.Errorf("the log must say %q and nobody what the panic said; answer %q, log:\n%s", tc.log,
					text, logged)
			}
		})
	}
}

func TestSize(t *testing.T) {
	s := start(t, Options{Guard: saying("guard")})
	t.Run("allow what two objects can be", func(t *testing.T) {
		if status, text, _ := s.post(t, "/guard", bytes.NewReader(review("u-1", 6<<20))); status != http.StatusOK {
			t.Errorf("status %d: %s", status, text)
		}
	})
	t.Run("forbid more", func(t *testing.T) {
		if status, text, _ := s.post(t, "/guard",
			bytes.NewReader(review("u-1", 8<<20))); status != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d, want 413: %s", status, text)
		}
	})
	t.Run("forbid a length that is not said", func(t *testing.T) {
		status, text, _ := s.post(t, "/guard", io.MultiReader(bytes.NewReader(review("u-1", 10))))
		if status != http.StatusLengthRequired {
			t.Errorf("status %d, want 411: %s", status, text)
		}
	})
	t.Run("forbid anything but POST", func(t *testing.T) {
		response, err := s.client.Get(s.url + "/guard")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("status %d, want 405", response.StatusCode)
		}
	})
}

func TestTimeout(t *testing.T) {
	s := start(t,
		Options{Guard: admission.HandlerFunc(func(ctx context.Context, _ admission.Request) admission.Response {
			<-ctx.Done()
			return admission.Errored(http.StatusGatewayTimeout, ctx.Err())
		})})
	_, _, answer := s.post(t, "/guard?timeout=20ms", bytes.NewReader(review("u-1", 10)))
	if answer.Result.Message != context.DeadlineExceeded.Error() {
		t.Errorf("the handler's context ended with %q, want its deadline", answer.Result.Message)
	}
}
