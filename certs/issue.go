package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"
)

// caName is the common name that identifies our CAs.
const caName = "indelible-webhook-ca"

// backdate is how far before its creation a certificate is valid, for nodes whose clocks are
// behind.
const backdate = time.Hour

// isOurCA reports whether this package made the CA.
func isOurCA(cert *x509.Certificate) bool {
	return cert.IsCA && cert.Subject.CommonName == caName && cert.CheckSignatureFrom(cert) == nil
}

// newCA makes a self-signed CA. CAs share a name; key identifiers distinguish them.
func newCA(now time.Time, life time.Duration) (pair, error) {
	return issue(&x509.Certificate{
		Subject:               pkix.Name{CommonName: caName, Organization: []string{"indelible.dev"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}, pair{})
}

// newServing makes a serving certificate. It expires no later than its CA, which leaves the bundle
// then: whatever it signed would be untrusted from then on.
func newServing(now time.Time, life time.Duration, names []string, ca pair) (pair, error) {
	notAfter := now.Add(life)
	if notAfter.After(ca.cert.NotAfter) {
		notAfter = ca.cert.NotAfter
	}
	return issue(&x509.Certificate{
		Subject:               pkix.Name{CommonName: names[0]},
		DNSNames:              names,
		NotBefore:             now.Add(-backdate),
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}, ca)
}

// issue makes a P-256 key and a certificate for it, signed by ca, or self-signed if ca is zero.
func issue(template *x509.Certificate, ca pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("making a key for %q: %w", template.Subject, err)
	}
	parent, signer := template, key
	if ca.exists() {
		parent, signer = ca.cert, ca.key
	}
	// Without a serial number, CreateCertificate generates a random one, as RFC 5280 requires.
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pair{}, fmt.Errorf("making a certificate for %q: %w", template.Subject, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, fmt.Errorf("reading the certificate made for %q: %w", template.Subject, err)
	}
	return pair{cert: cert, key: key}, nil
}
