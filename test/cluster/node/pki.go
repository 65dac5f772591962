package node

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// validFor outlives any development machine's patience; the whole PKI goes with the state folder.
const validFor = 5 * 365 * 24 * time.Hour

// authority signs the certificates of one trust domain.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// leaf describes a certificate. An organisation is a Kubernetes group, a common name a Kubernetes
// user.
type leaf struct {
	file, user, group string
	hosts             []string
	addresses         []string
}

// clusterLeaves are signed by the cluster's authority: clients the API server trusts, and the
// servers of the cluster.
var clusterLeaves = []leaf{
	{file: "kube-apiserver", user: "kube-apiserver", addresses: []string{"127.0.0.1", nodeIP, apiServiceIP},
		hosts: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local"}},
	{file: "kubelet-server", user: nodeName, hosts: []string{nodeName}, addresses: []string{nodeIP}},
	{file: "etcd", user: "etcd", hosts: []string{"localhost"}, addresses: []string{"127.0.0.1"}},
	{file: "admin", user: "admin", group: "system:masters"},
	{file: "apiserver-kubelet-client", user: "kube-apiserver-kubelet-client", group: "system:masters"},
	{file: "kube-controller-manager", user: "system:kube-controller-manager"},
	{file: "kube-scheduler", user: "system:kube-scheduler"},
	{file: "kube-proxy", user: "system:kube-proxy"},
	{file: "kubelet", user: "system:node:" + nodeName, group: "system:nodes"},
	// The volume provisioner is part of this tool, not of Kubernetes, and has no role of its own
	// there.
	{file: "volume-provisioner", user: "volume-provisioner", group: "system:masters"},
}

// makePKI fills the pki folder once. The marker is written last, so a crash in between starts
// afresh.
func (s State) makePKI(now time.Time) error {
	marker := s.pki("complete")
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	if err := os.MkdirAll(s.path("pki"), 0o700); err != nil {
		return err
	}
	cluster, err := s.makeAuthority("ca", now)
	if err != nil {
		return err
	}
	for _, leaf := range clusterLeaves {
		if err := s.issue(cluster, leaf, now); err != nil {
			return fmt.Errorf("certificate %s: %w", leaf.file, err)
		}
	}
	// The aggregation layer's clients have an authority of their own: any client certificate it
	// signs may name any user.
	front, err := s.makeAuthority("front-proxy-ca", now)
	if err != nil {
		return err
	}
	if err := s.issue(front, leaf{file: "front-proxy-client", user: "front-proxy-client"}, now); err != nil {
		return err
	}
	if err := s.makeServiceAccountKey(); err != nil {
		return err
	}
	return os.WriteFile(marker, nil, 0o600)
}

func (s State) makeAuthority(name string, now time.Time) (*authority, error) {
	template, err := template(name, now)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key}, s.writePair(name, der, key)
}

func (s State) issue(by *authority, leaf leaf, now time.Time) error {
	template, err := template(leaf.user, now)
	if err != nil {
		return err
	}
	if leaf.group != "" {
		template.Subject.Organization = []string{leaf.group}
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	template.DNSNames = leaf.hosts
	for _, address := range leaf.addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key.Public(), by.key)
	if err != nil {
		return err
	}
	return s.writePair(leaf.file, der, key)
}

func template(name string, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(validFor),
	}, err
}

// makeServiceAccountKey makes the pair that signs and checks service account tokens.
func (s State) makeServiceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return errors.Join(writePEM(s.pki("service-account.pub"), "PUBLIC KEY", public), s.writeKey("service-account", key))
}

func (s State) writePair(name string, der []byte, key *ecdsa.PrivateKey) error {
	return errors.Join(writePEM(s.pki(name+".crt"), "CERTIFICATE", der), s.writeKey(name, key))
}

func (s State) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(s.pki(name+".key"), "PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
