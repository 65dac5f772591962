package admission

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// sayingWho answers whether the caller is an API server.
var sayingWho = admission.HandlerFunc(func(ctx context.Context, _ admission.Request) admission.Response {
	if Authenticated(ctx) {
		return admission.Allowed("an API server")
	}
	return admission.Allowed("somebody")
})

func TestKeys(t *testing.T) {
	s := start(t, Options{Guard: sayingWho, CarryOver: sayingWho, Callers: Callers{Keys: func(path string) []string {
		if path == CarryOverPath {
			return []string{"old-key", "new-key"}
		}
		return nil
	}}})
	for name, tc := range map[string]struct{ path, want string }{
		"know an API server by a key":          {"/carry-over/new-key", "an API server"},
		"know an API server by the key before": {"/carry-over/old-key", "an API server"},
		"answer whoever has none":              {"/carry-over", "somebody"},
		"answer whoever has another":           {"/carry-over/no-key", "somebody"},
		"answer whoever has a part of it":      {"/carry-over/new", "somebody"},
		"answer whoever has an empty one":      {"/carry-over/", "somebody"},
		"answer whoever has another path's":    {"/guard/new-key", "somebody"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text, answer := s.post(t, tc.path+"?timeout=5s", bytes.NewReader(review("u-1", 10)))
			if status != http.StatusOK || answer.Result.Message != tc.want {
				t.Errorf("status %d: %s, want it to say %q", status, text, tc.want)
			}
		})
	}
	t.Run("know no path below a key", func(t *testing.T) {
		if status, _, _ := s.post(t, "/carry-over/new-key/x",
			bytes.NewReader(review("u-1", 10))); status != http.StatusNotFound {
			t.Errorf("status %d, want 404", status)
		}
	})
	t.Run("never log a key", func(t *testing.T) {
		broken := start(t, Options{
			Callers: Callers{Keys: func(string) []string { return []string{"new-key"} }},
			CarryOver: admission.HandlerFunc(
				func(context.Context, admission.Request) admission.Response { panic("broken") }),
		})
		if status, text, _ := broken.post(t, "/carry-over/new-key",
			bytes.NewReader(review("u-1", 10))); status != http.StatusInternalServerError || strings.Contains(text,
			"new-key") {
			t.Errorf("status %d: %s", status, text)
		}
		if logged := broken.log.String(); !strings.Contains(logged, "/carry-over") ||
			strings.Contains(logged, "new-key") {
			t.Errorf("logged %s", logged)
		}
	})
}

// authority issues client certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	certificate := a.issue(t, a.cert)
	a.cert, a.key = certificate.Leaf, certificate.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

func (a *authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) client(
	t *testing.T, commonName string, dns []string, usage x509.ExtKeyUsage, ends time.Duration,
) *tls.Certificate {
	t.Helper()
	c := a.issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: commonName}, DNSNames: dns,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(ends),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	})
	return &c
}

// TestClientCertificates is what a webhook answers to clients with and without certificates, real
// ones, when it asks for them and when it requires them. "" is a handshake that fails.
func TestClientCertificates(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	const client, hour = x509.ExtKeyUsageClientAuth, time.Hour
	tests := map[string]struct {
		certificate     *tls.Certificate
		asked, required string
	}{
		"an API server, by its common name": {ours.client(t, "kube-apiserver", nil, client, hour), "an API server",
			"an API server"},
		"an API server, by a DNS name": {ours.client(t, "", []string{"x", "api.internal"}, client, hour),
			"an API server", "an API server"},
		"whoever else the CA knows": {ours.client(t, "kubelet", []string{"node"}, client, hour), "somebody",
			"401"},
		"whoever has none":           {nil, "somebody", "401"},
		"another CA's API server":    {theirs.client(t, "kube-apiserver", nil, client, hour), "", ""},
		"an API server of yesterday": {ours.client(t, "kube-apiserver", nil, client, -time.Minute), "", ""},
		"a server that has the API server's name": {ours.client(t, "kube-apiserver", nil,
			x509.ExtKeyUsageServerAuth, hour),
			"", ""},
	}
	callers := Callers{ClientCAs: x509.NewCertPool(), Names: []string{"kube-apiserver", "api.internal"}}
	callers.ClientCAs.AddCert(ours.cert)
	asking := start(t, Options{Guard: sayingWho, Callers: callers})
	callers.Required = true
	requiring := start(t, Options{Guard: sayingWho, Callers: callers})
	for name, tc := range tests {
		for mode, server := range map[string]*started{"asked": asking, "required": requiring} {
			want := map[string]string{"asked": tc.asked, "required": tc.required}[mode]
			t.Run(mode+" "+name, func(t *testing.T) {
				if got := server.as(tc.certificate, bytes.NewReader(review("u-1", 10))); !strings.Contains(got, want) ||
					want == "" && got != "" {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
	t.Run("forbid a body before the certificate was asked for", func(t *testing.T) {
		status := requiring.over("h2").stall(t, "/guard?timeout=30s", maxBody, 0)
		if got := <-status; got != "401 Unauthorized" {
			t.Errorf("a body that does not come is answered %q", got)
		}
	})
}

// as posts with a certificate, and returns the status and what is answered, "" if there is no
// connection.
func (s *started) as(certificate *tls.Certificate, body io.Reader) string {
	transport := s.client.Transport.(*http.Transport).Clone()
	if certificate != nil {
		// Not Certificates: of those Go sends only one that the server's CA may have signed.
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate,
			error) {
			return certificate, nil
		}
	}
	response, err := (&http.Client{Transport: transport}).Post(s.url+"/guard?timeout=5s", "application/json", body)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return response.Status + " " + string(text)
}
