package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Keys of the Secret. Other tools expect ca.crt, tls.crt and tls.key under these names.
const (
	keyBundle        = "ca.crt"         // every CA that has not expired, newest last
	keySignerCert    = "signer.crt"     // the CA that signs now
	keySignerKey     = "signer.key"     //
	keyNextCert      = "next.crt"       // the CA that will sign next; only published so far
	keyNextKey       = "next.key"       //
	keyNextPublished = "next.published" // since when it is in every webhook configuration, RFC 3339
	keyServingCert   = "tls.crt"
	keyServingKey    = "tls.key"
)

// PEM block types.
const (
	blockCertificate = "CERTIFICATE"
	blockKey         = "PRIVATE KEY" // PKCS #8
)

// pair is a certificate and its private key. The zero pair is "none".
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (p pair) exists() bool { return p.cert != nil }

// content is what the Secret holds.
type content struct {
	bundle        []*x509.Certificate
	signer        pair
	next          pair
	nextPublished time.Time // zero until next is in every webhook configuration
	serving       pair
}

// parse reads a Secret's data. Parts that are broken or not ours are left out and named in the
// error, so that plan replaces only them. An absent part is not an error.
func parse(data map[string][]byte) (content, error) {
	var c content
	var errs [4]error
	c.bundle, errs[0] = parseBundle(data[keyBundle])
	c.signer, errs[1] = parsePair(data, keySignerCert, keySignerKey)
	c.next, errs[2] = parsePair(data, keyNextCert, keyNextKey)
	c.serving, errs[3] = parsePair(data, keyServingCert, keyServingKey)
	for _, ca := range []*pair{&c.signer, &c.next} {
		if ca.exists() && !isOurCA(ca.cert) {
			errs[1] = errors.Join(errs[1], fmt.Errorf("the CA %q is not ours", ca.cert.Subject))
			*ca = pair{}
		}
	}
	if c.next.exists() && len(data[keyNextPublished]) > 0 {
		// A time that cannot be read counts as "not yet published": the overlap starts again.
		c.nextPublished, _ = time.Parse(time.RFC3339, string(data[keyNextPublished]))
	}
	return c, errors.Join(errs[:]...)
}

func parseBundle(data []byte) ([]*x509.Certificate, error) {
	var bundle []*x509.Certificate
	for rest := data; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return bundle, fmt.Errorf("%s: not PEM", keyBundle)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return bundle, fmt.Errorf("%s: %w", keyBundle, err)
		}
		if !isOurCA(cert) {
			return bundle, fmt.Errorf("%s: the CA %q is not ours", keyBundle, cert.Subject)
		}
		bundle = append(bundle, cert)
	}
	return bundle, nil
}

func parsePair(data map[string][]byte, certName, keyName string) (pair, error) {
	if len(data[certName]) == 0 && len(data[keyName]) == 0 {
		return pair{}, nil
	}
	// X509KeyPair also checks that key and certificate belong together.
	both, err := tls.X509KeyPair(data[certName], data[keyName])
	if err != nil {
		return pair{}, fmt.Errorf("%s, %s: %w", certName, keyName, err)
	}
	key, ok := both.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return pair{}, fmt.Errorf("%s: a %T, not ours", keyName, both.PrivateKey)
	}
	return pair{cert: both.Leaf, key: key}, nil
}

// data returns what parse reads back.
func (c content) data() (map[string][]byte, error) {
	data := map[string][]byte{keyBundle: c.bundlePEM()}
	for _, part := range []struct {
		pair
		cert, key string
	}{
		{c.signer, keySignerCert, keySignerKey},
		{c.next, keyNextCert, keyNextKey},
		{c.serving, keyServingCert, keyServingKey},
	} {
		if !part.exists() {
			continue
		}
		der, err := x509.MarshalPKCS8PrivateKey(part.pair.key)
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", part.key, err)
		}
		data[part.cert] = certPEM(part.pair.cert)
		data[part.key] = pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: der})
	}
	if !c.nextPublished.IsZero() {
		data[keyNextPublished] = []byte(c.nextPublished.UTC().Format(time.RFC3339))
	}
	return data, nil
}

// bundlePEM returns the caBundle.
func (c content) bundlePEM() []byte {
	var out []byte
	for _, ca := range c.bundle {
		out = append(out, certPEM(ca)...)
	}
	return out
}

// tlsCertificate returns what a server serves with. The CA is not sent: clients have it as their
// root.
func (c content) tlsCertificate() *tls.Certificate {
	return &tls.Certificate{
		Certificate: [][]byte{c.serving.cert.Raw},
		PrivateKey:  c.serving.key,
		Leaf:        c.serving.cert,
	}
}

func certPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockCertificate, Bytes: cert.Raw})
}
