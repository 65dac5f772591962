package daemon

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// serve runs a server for as long as the test, and returns its address.
func serve(t *testing.T, server *http.Server) string {
	t.Helper()
	e, err := Listen(t.Context(), server, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Serve() }()
	t.Cleanup(func() {
		e.Close()
		e.Close()
		if err := <-ended; err != nil {
			t.Errorf("a closed endpoint ends with %v", err)
		}
	})
	return e.Address()
}

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	response, err := client.Get(url) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestHealth(t *testing.T) {
	for name, test := range map[string]struct {
		path   string
		ready  error
		status int
		text   string
	}{
		"ready":                             {"/readyz", nil, 200, "ok\n"},
		"not ready says why":                {"/readyz", errors.New("no certificate yet"), 503, "no certificate yet\n"},
		"healthy":                           {"/healthz", nil, 200, "ok\n"},
		"not ready is no cause to restart":  {"/healthz", errors.New("no certificate yet"), 200, "ok\n"},
		"health has nothing else to answer": {"/metrics", nil, 404, "404 page not found\n"},
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, NewHealthServer(func() error { return test.ready }))
			if status, text := get(t, http.DefaultClient, "http://"+address+test.path); status != test.status ||
				text != test.text {
				t.Errorf("%d %q, want %d %q", status, text, test.status, test.text)
			}
		})
	}
}

// Each of our programs has its own metrics, the process's, and those of its libraries.
func TestMetrics(t *testing.T) {
	registry := NewRegistry()
	ours := prometheus.NewCounter(prometheus.CounterOpts{Name: "indelible_of_a_test_total", Help: "none"})
	registry.MustRegister(ours)
	ctrlmetrics.Registry.MustRegister(prometheus.NewCounter(
		prometheus.CounterOpts{Name: "library_of_a_test_total", Help: "none"}))
	_, text := get(t, http.DefaultClient, "http://"+serve(t, NewMetricsServer(registry))+"/metrics")
	for _, name := range []string{"indelible_of_a_test_total 0", "go_goroutines ", "process_open_fds ",
		"library_of_a_test_total 0"} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("/metrics lacks %s", name)
		}
	}
}

// A server with a certificate speaks TLS, and nothing else.
func TestTLS(t *testing.T) {
	with := httptest.NewUnstartedServer(nil)
	with.StartTLS() // for its certificate
	defer with.Close()
	server := plainServer(http.NotFoundHandler())
	server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: with.TLS.Certificates}
	address := serve(t, server)
	if status, _ := get(t, with.Client(), "https://"+address); status != http.StatusNotFound {
		t.Errorf("https: status %d", status)
	}
	if status, _ := get(t, http.DefaultClient, "http://"+address); status != http.StatusBadRequest {
		t.Errorf("http: status %d", status)
	}
}

func TestListenNamesTheAddress(t *testing.T) {
	taken := serve(t, plainServer(nil))
	if _, err := Listen(t.Context(), plainServer(nil), taken); err == nil ||
		!strings.Contains(err.Error(), "listening on "+taken) {
		t.Errorf("error %v", err)
	}
	var none *Endpoint
	none.Close()
}

const kubeconfig = `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: k, cluster: {server: "https://127.0.0.1:1"}}],
contexts: [{name: c, context: {cluster: k, user: u}}], users: [{name: u, user: {token: t}}]}`

func TestCluster(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Cluster(file, "indelible-test/v1")
	if err != nil || c.Host != "https://127.0.0.1:1" || c.UserAgent != "indelible-test/v1" || c.QPS >= 0 {
		t.Errorf("%+v, %v", c, err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, from := range []string{file + ".missing", ""} {
		if _, err := Cluster(from, ""); err == nil || !strings.Contains(err.Error(), "finding the cluster: ") {
			t.Errorf("from %q: %v", from, err)
		}
	}
}

func TestNamespace(t *testing.T) {
	for env, want := range map[string]string{"": "indelible-system", "elsewhere": "elsewhere"} {
		t.Setenv("POD_NAMESPACE", env)
		if got := Namespace(); got != want {
			t.Errorf("POD_NAMESPACE %q: %q, want %q", env, got, want)
		}
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, slog.LevelInfo)
	log.V(4).Info("Not this")
	log.WithName("part").Info("This", "key", "value")
	var line struct{ Msg, Logger, Key string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q: %v", &out, err)
	}
	if line.Msg != "This" || line.Logger != "part" || line.Key != "value" {
		t.Errorf("%q", &out)
	}
}
