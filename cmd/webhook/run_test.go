package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// running is the command, started and with its log read up to the line that says where it listens.
type running struct {
	stop   context.CancelFunc
	exited chan int

	Webhook, Metrics, Health string
}

func startWebhook(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	log, stderr := io.Pipe()
	r := &running{stop: stop, exited: make(chan int, 1)}
	go func() {
		r.exited <- run(ctx, append(args, "--webhook-port=0", "--metrics-address=127.0.0.1:0",
			"--health-address=127.0.0.1:0"), io.Discard, stderr)
		_ = stderr.Close()
	}()
	t.Cleanup(stop)
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"Starting"`) {
			if err := json.Unmarshal(lines.Bytes(), r); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return r
		}
	}
	t.Fatal("the webhook never said where it listens")
	return nil
}

// awaitReadyz looks at /readyz until it begins with that.
func (r *running) awaitReadyz(t *testing.T, want string) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, got = get(t, "http://"+r.Health+"/readyz"); strings.HasPrefix(got, want) {
			return
		}
	}
	t.Fatalf("/readyz says %q, want %q", got, want)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url) //nolint:noctx // a test
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

func configFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, "apiVersion: config.indelible.dev/v1alpha1\nkind: Configuration\npublisher: {image: "+
		"indelible-publisher:test}\n")
	return path
}

// write by a pod bound to its TaskRun: the guard asks the API server for the Pod.
const podWrite = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{
	"uid":"u-1","operation":"UPDATE","namespace":"team","name":"run",
	"kind":{"group":"tekton.dev","version":"v1","kind":"TaskRun"},
	"resource":{"group":"tekton.dev","version":"v1","resource":"taskruns"},"subResource":"status",
	"userInfo":{"username":"system:serviceaccount:team:default",
		"groups":["system:serviceaccounts","system:serviceaccounts:team","system:authenticated"],
		"extra":{"authentication.kubernetes.io/pod-name":["run-pod"],"authentication.kubernetes.io/pod-uid":["p-1"]}},
	"oldObject":{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"namespace":"team","name":"run","uid":"r-1"},"status":{"podName":"run-pod"}},
	"object":{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"namespace":"team","name":"run","uid":"r-1"},"status":{"podName":"run-pod"}}}}`

// TestLife starts the webhook as a Deployment does, asks it something, and stops it while it still
// has to answer.
func TestLife(t *testing.T) {
	cluster := newAPI(t)
	w := startWebhook(t, "--config", configFile(t), "--kubeconfig", cluster.kubeconfig, "--namespace=indelible-system",
		"--drain=1ms")
	w.awaitReadyz(t, "ok")
	if status, text := get(t, "http://"+w.Metrics+"/metrics"); status != http.StatusOK {
		t.Errorf("/metrics: status %d", status)
	} else {
		for _, name := range []string{"indelible_certificate_expiry_timestamp_seconds", "indelible_inject_pods_total",
			"indelible_protect_runs_total",
			"indelible_guard_result_bytes", "indelible_config_last_reload_successful", "indelible_unguarded_grant",
			"controller_runtime_webhook_requests_total", "go_goroutines"} {
			if !strings.Contains(text, "\n"+name) {
				t.Errorf("/metrics lacks %s", name)
			}
		}
	}

	// The API server trusts what is in the Secret, and calls the Service by its name.
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cluster.bundle())
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "indelible-webhook.indelible-system.svc"}}}
	answered := make(chan string, 1)
	go func() {
		response, err := client.Post("https://"+w.Webhook+"/guard?timeout=10s", "application/json",
			bytes.NewBufferString(podWrite))
		if err != nil {
			answered <- err.Error()
			return
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		answered <- string(text)
	}()
	<-cluster.asked
	w.stop()
	w.awaitReadyz(t, "stopping")
	close(cluster.answer)
	if text := <-answered; !strings.Contains(text, `"uid":"u-1"`) || !strings.Contains(text, `"allowed":false`) {
		t.Errorf("a request under way while stopping was answered by %s", text)
	}
	if code := <-w.exited; code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestUnguardedGrant starts the webhook where the grant is all there is.
func TestUnguardedGrant(t *testing.T) {
	cluster := newAPI(t)
	cluster.granted = true
	w := startWebhook(t, "--config", configFile(t), "--kubeconfig", cluster.kubeconfig, "--namespace=indelible-system")
	w.awaitReadyz(t, "service accounts may write taskruns/status, but what guards these writes is not all in place: "+
		"MutatingWebhookConfiguration/indelible-guard does not exist; ValidatingAdmissionPolicy/indelible-results does not "+
		"exist; "+
		"ValidatingAdmissionPolicyBinding/indelible-results does not exist")
	if status, _ := get(t, "http://"+w.Health+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz: status %d, want 503", status)
	}
	if status, _ := get(t, "http://"+w.Health+"/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: status %d: a restart would not help", status)
	}
}

func TestCommandLine(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	invalid := filepath.Join(t.TempDir(), "invalid.yaml")
	write(t, invalid, "apiVersion: config.indelible.dev/v1alpha1\nkind: Configuration\n")
	tests := map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"prints its version":                   {[]string{"--version"}, 0, "dev\n", ""},
		"explains itself":                      {[]string{"--help"}, 0, "", "-cert-dir"},
		"refuses a flag it does not know":      {[]string{"--certs"}, 2, "", "flag provided but not defined"},
		"refuses an argument":                  {[]string{"start"}, 2, "", `unexpected argument "start"`},
		"refuses a log level it does not know": {[]string{"--log-level=chatty"}, 2, "", "log-level"},
		"refuses to look too often": {[]string{"--reload-interval=1ms"}, 2, "",
			"--reload-interval must be at least 1s"},
		"refuses names without a CA": {[]string{"--client-names=kube-apiserver"}, 2, "",
			"need both -client-ca and -client-names"},
		"refuses to require what nobody can have": {[]string{"--require-client-certificate"}, 2, "",
			"need both -client-ca and -client-names"},
		"fails with a CA that is none": {[]string{"--config", configFile(t), "--kubeconfig", newAPI(t).kubeconfig,
			"--client-ca", invalid, "--client-names=x"}, 1, "", "no CA of API servers in " + invalid},
		"fails without a configuration":       {[]string{"--config", missing}, 1, "", missing},
		"fails with one that lacks something": {[]string{"--config", invalid}, 1, "", "publisher.image"},
		"fails without a cluster": {[]string{"--config", configFile(t), "--kubeconfig", missing}, 1, "",
			missing},
		"fails without the certificate it is to serve": {[]string{"--config", configFile(t), "--kubeconfig",
			newAPI(t).kubeconfig,
			"--cert-dir", missing}, 1, "", missing},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tc.args, &stdout, &stderr); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if stdout.String() != tc.stdout || !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("stdout %q, want %q; stderr %q, want %q in it", &stdout, tc.stdout, &stderr, tc.stderr)
			}
		})
	}
}
