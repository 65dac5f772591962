package publisher

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPatchUnreachable(t *testing.T) {
	t.Run("tries a closed port until the bound", func(t *testing.T) {
		s := newAPIServer(t)
		p := newPublication(t, s)
		s.Close()
		text := p.publish(t, someResults())
		wantText(t, text, "the API server at "+s.host+":"+s.port+" could not be asked: dial tcp", "connection refused",
			"Gave up after", "network policies")
		if len(p.logged) != 1 {
			t.Errorf("logged %q", p.logged)
		}
	})
	t.Run("sends no token to a server with another CA's certificate", func(t *testing.T) {
		s := newAPIServer(t)
		p := newPublication(t, s)
		if err := os.WriteFile(filepath.Join(p.options.Credentials, "ca.crt"), selfSigned(t), 0o600); err != nil {
			t.Fatal(err)
		}
		wantText(t, p.publish(t, someResults()), "certificate signed by unknown authority",
			"signed by the cluster's CA")
		if n := len(s.seen()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("forbid a server that speaks only TLS 1.1", func(t *testing.T) {
		s := startAPIServer(t, "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		wantText(t, newPublication(t, s).publish(t, someResults()), "protocol version not supported")
	})
	t.Run("uses no proxy and keeps no connection", func(t *testing.T) {
		tr := newTransport(nil)
		if tr.Proxy != nil || !tr.DisableKeepAlives || tr.TLSClientConfig.MinVersion != tls.VersionTLS12 {
			t.Errorf("transport %+v", tr)
		}
	})
}

// selfSigned is the certificate of an unrelated CA, as PEM.
func selfSigned(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestPatchCredentials(t *testing.T) {
	t.Run("reads the token anew for each attempt", func(t *testing.T) {
		var p *publication
		s := newAPIServer(t, func(w http.ResponseWriter, r *http.Request) {
			if err := os.WriteFile(filepath.Join(p.options.Credentials, "token"), []byte("rotated"),
				0o600); err != nil {
				t.Error(err)
			}
			status(401, "Unauthorized", "Unauthorized")(w, r)
		})
		p = newPublication(t, s)
		if text := p.publish(t, someResults()); text != "" {
			t.Fatal(text)
		}
		if got := s.seen()[1].authorization; got != "Bearer rotated" {
			t.Errorf("second attempt with %q", got)
		}
	})
	for name, tt := range map[string]struct {
		file, content, says string
	}{
		"forbid an empty token":               {"token", " \n", "service account token: the file is empty"},
		"forbid a CA file without a CA":       {"ca.crt", "nothing", "no certificate in ca.crt"},
		"forbid a missing token":              {"token", "", "read the service account token: open "},
		"forbid a missing CA":                 {"ca.crt", "", "read the cluster's CA: open "},
		"forbid a token that breaks a header": {"token", "secret-head\nsecret-tail", "invalid header field value"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			p := newPublication(t, s)
			path := filepath.Join(p.options.Credentials, tt.file)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if tt.content != "" {
				if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			text := p.publish(t, someResults())
			wantText(t, text, tt.says)
			if strings.Contains(text, "secret-") {
				t.Errorf("the token is told: %s", text)
			}
		})
	}
	t.Run("forbid an environment without the API server's address", func(t *testing.T) {
		_, err := newEndpoint(Options{}, func(string) string { return "" })
		if err == nil {
			t.Fatal("no error")
		}
		wantText(t, err.Error(), "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
	})
}

// TestPatchTellsNoSecrets: servers quote what they refuse, and may even quote the request's head.
func TestPatchTellsNoSecrets(t *testing.T) {
	const value = "pa55word <of> \"nobody\"\nsecond line"
	answers := map[string]http.HandlerFunc{
		"in a Status": status(422, "Invalid", "Invalid value: "+fmt.Sprintf("%q", value)+", raw "+value+", token "+
			testToken),
		"in plain text":   raw(400, "cannot parse "+value+" of "+testToken),
		"in a warning":    raw(200, `{}`, "Warning", `299 - "odd value `+`pa55word <of> \"nobody\"`+`"`),
		"cut off":         raw(400, "bad value pa55word <of> \"nobo..."),
		"in a retry line": status(503, "", "cannot store "+value),
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			p := newPublication(t, newAPIServer(t, slices.Repeat([]http.HandlerFunc{answer}, 100)...))
			text := p.publish(t, collected{Results: []named{{"a", value}}}) + strings.Join(p.logged, "\n")
			if text == "" {
				t.Fatal("no explanation")
			}
			for _, secret := range []string{"pa55word", "nobo", "second line", "the-token"} {
				if strings.Contains(text, secret) {
					t.Errorf("%q is told: %s", secret, text)
				}
			}
			wantText(t, text, "(redacted)")
		})
	}
}

func TestWarningText(t *testing.T) {
	// The form is the one of k8s.io/apimachinery/pkg/util/net.NewWarningHeader.
	for v, want := range map[string]string{
		`299 - "plain"`:                        "plain",
		`299 - "with \"quotes\" and a \\"`:     `with "quotes" and a \`,
		`299 agent "x" "Fri, 02 Jan 2026 ..."`: `x" "Fri, 02 Jan 2026 ...`,
		`299 - none`:                           `299 - none`,
		`"`:                                    `"`,
		"":                                     "",
	} {
		if got := warningText(v); got != want {
			t.Errorf("%s gives %s, want %s", v, got, want)
		}
	}
}

func TestRetryAfterDate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, // RFC 9110's form
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
		"-1":                            0,
		"99999999999999":                0,
		"":                              0,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("%q gives %s, want %s", v, got, want)
		}
	}
}
