//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/test/harness"
)

// TestRequiredCertificates has two API servers and an etcd of its own, from the programs of the
// local cluster, and a webhook that requires certificates. The API server that has an
// AdmissionConfiguration, as docs/operations.md shows it, is answered by the guard; the other one
// is not.
func TestRequiredCertificates(t *testing.T) {
	programs := filepath.Join(filepath.Dir(os.Getenv("KUBECONFIG")), "bin")
	if _, err := os.Stat(filepath.Join(programs, "kube-apiserver")); err != nil {
		t.Skip("there are no programs of the local cluster")
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	t.Cleanup(cancel)
	s := &servers{t: t, ctx: ctx, dir: t.TempDir(), programs: programs, etcd: freePort(t)}
	ca := s.issue("client-ca", nil)
	s.issue("webhooks-client", ca)
	s.issue("service-account", nil)
	s.write("tokens", "secret,admin,admin,system:masters\n")
	s.write("webhooks.kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
users:
- name: indelible-webhook.indelible-system.svc
  user:
    client-certificate: %[1]s/webhooks-client.crt
    client-key: %[1]s/webhooks-client.key
`, s.dir))
	s.write("admission.yaml", fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: MutatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %s/webhooks.kubeconfig
`, s.dir))
	s.start("etcd", filepath.Join(programs, "etcd"), "--data-dir="+s.dir+"/etcd", "--listen-client-urls=http://"+s.etcd,
		"--advertise-client-urls=http://"+s.etcd, "--listen-peer-urls=http://"+freePort(t))
	with := s.apiServer("with", "--admission-control-config-file="+s.dir+"/admission.yaml")
	without := s.apiServer("without")
	s.install(with)

	const write = `{"status":{"podName":"p","results":[{"name":"text","type":"string","value":"forged"}]}}`
	s.eventually("an answer of the guard", func() bool {
		_, err := with.kubectl("patch", "taskrun", "run", "-n", "team", "--subresource=status", "--type=merge",
			"-p", write)
		return err != nil && strings.Contains(err.Error(), "only the TaskRun's own pod writes results")
	})
	// This API server may not have seen the guard's configuration yet.
	s.eventually("the webhook's refusal", func() bool {
		_, err := without.kubectl("patch", "taskrun", "run", "-n", "team", "--subresource=status", "--type=merge", "-p",
			`{"status":{"podName":"p","conditions":[]}}`, "--dry-run=server")
		return err != nil && strings.Contains(err.Error(), "guard") &&
			// what an API server makes of 401
			strings.Contains(err.Error(), "the server has asked for the client to provide credentials")
	})
}

// servers are the processes of one test.
type servers struct {
	t        *testing.T
	ctx      context.Context
	dir      string
	programs string
	etcd     string
	last     error
}

// server is an API server.
type server struct {
	*servers
	kubeconfig string
}

func (s *servers) apiServer(name string, args ...string) *server {
	s.t.Helper()
	address := freePort(s.t)
	_, port, _ := net.SplitHostPort(address)
	s.start(name, filepath.Join(s.programs, "kube-apiserver"), append([]string{
		"--etcd-servers=http://" + s.etcd, "--bind-address=127.0.0.1", "--secure-port=" + port,
		"--cert-dir=" + s.dir + "/" +
			name,
		"--token-auth-file=" + s.dir + "/tokens", "--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.97.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + s.dir +
			"/service-account.crt",
		"--service-account-signing-key-file=" + s.dir + "/service-account.key",
		"--enable-aggregator-routing=true", // there is no kube-proxy behind the Service
	}, args...)...)
	s.write(name+".kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://%s", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: secret}}]
`, address))
	a := &server{s, s.dir + "/" + name + ".kubeconfig"}
	s.eventually("the API server", func() bool {
		_, err := a.kubectl("get", "--raw", "/readyz")
		return err == nil
	})
	return a
}

// install runs the webhook as a process, with what it needs of config, and makes a TaskRun.
func (s *servers) install(a *server) {
	s.t.Helper()
	host := hostAddress(s.t)
	_, port, _ := net.SplitHostPort(freePort(s.t))
	s.write("objects.yaml", fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: taskruns.tekton.dev}
spec:
  group: tekton.dev
  scope: Namespaced
  names: {kind: TaskRun, plural: taskruns, singular: taskrun, listKind: TaskRunList}
  versions:
  - {name: v1, served: true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: indelible-system}}
---
{apiVersion: v1, kind: Service, metadata: {name: indelible-webhook, namespace: indelible-system}, spec: {ports: [{name: https, port: 443, targetPort: %[2]s}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: indelible-webhook, namespace: indelible-system, labels: {kubernetes.io/service-name: indelible-webhook}}
addressType: IPv4
ports: [{name: https, port: %[2]s}]
endpoints: [{addresses: [%[1]s], conditions: {ready: true}}]
---
{apiVersion: v1, kind: Endpoints, metadata: {name: indelible-webhook, namespace: indelible-system}, subsets: [{addresses: [{ip: %[1]s}], ports: [{name: https, port: %[2]s}]}]}
`, host, port))
	s.write("config.yaml", "apiVersion: config.indelible.dev/v1alpha1\nkind: Configuration\npublisher: {image: none}\n")
	s.must(a.kubectl("apply", "-f", s.dir+"/objects.yaml"))
	s.start("webhook", program(s.t, "../..", "./cmd/webhook"), "--config="+s.dir+"/config.yaml", "--kubeconfig="+
		a.kubeconfig,
		"--namespace=indelible-system", "--webhook-port="+port, "--metrics-address=127.0.0.1:0",
		"--health-address=127.0.0.1:0",
		"--client-ca="+s.dir+"/client-ca.crt", "--client-names=webhooks-client", "--require-client-certificate")
	s.eventually("the TaskRun", func() bool {
		_, err := a.kubectl("create", "-f", s.write("run.yaml",
			"apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {name: run, namespace: team}\nspec: {}\n"))
		return err == nil
	})
	s.must(a.kubectl("apply", "-k", "../../config/webhook"))
}

func (a *server) kubectl(args ...string) (string, error) {
	c := exec.CommandContext(a.ctx, filepath.Join(a.programs, "kubectl"),
		append([]string{"--kubeconfig=" + a.kubeconfig}, args...)...)
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	a.last = err
	return string(out), err
}

func (s *servers) must(_ string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *servers) eventually(what string, done func() bool) {
	s.t.Helper()
	if err := harness.Eventually(s.ctx, what, func() (bool, error) { return done(), nil }); err != nil {
		s.t.Fatalf("%v; the last command: %v", err, s.last)
	}
}

// start runs a program until the test ends; its output is shown if the test fails.
func (s *servers) start(name, path string, args ...string) {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, path, args...)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		stop()
		_ = c.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && s.t.Failed() {
			s.t.Logf("%s ended with:\n%s", name, text[max(0, len(text)-3000):])
		}
		_ = log.Close()
	})
}

func (s *servers) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue writes NAME.crt and NAME.key, of a client's certificate signed by a CA, or of a CA.
func (s *servers) issue(name string, by *issued) *issued {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		IsCA:        by == nil,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if by == nil {
		by = &issued{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		s.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.write(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})))
	return &issued{template, key}
}

// freePort is an address on which nothing listens at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// hostAddress is one of this machine's that is no loopback's: an endpoint may have none of those.
func hostAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address that an API server takes for an endpoint")
	return ""
}
