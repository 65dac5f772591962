package harness

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
)

// gateway is the local cluster's etcd (test/cluster/node), which also speaks JSON.
const gateway = "https://127.0.0.1:2379/v3/"

// Etcd is a client of the local cluster's etcd: for faults, and for objects in greater numbers than
// the API server takes in a while.
type Etcd struct{ client *http.Client }

// OpenEtcd makes a client from the local cluster's folder, which is where its kubeconfig is, for so
// many requests at a time. It returns ErrNotLocal if the folder is another's.
func OpenEtcd(state string, requests int) (*Etcd, error) {
	pki := filepath.Join(state, "pki")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(pki, "kube-apiserver.crt"),
		filepath.Join(pki, "kube-apiserver.key"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotLocal
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of etcd's clients: %w", err)
	}
	authority, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reading etcd's CA: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &Etcd{&http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate},
			MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: requests,
	}}}, nil
}

// Post sends a request to a method such as kv/put. The answer is decoded into answered, unless that
// is nil.
func (e *Etcd) Post(ctx context.Context, what string, request, answered any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, gateway+what, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := e.client.Do(r)
	if err != nil {
		return fmt.Errorf("etcd %s: %w", what, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.300s", answer.Status, text)
	}
	if err == nil && answered != nil {
		err = json.Unmarshal(text, answered)
	}
	if err != nil {
		return fmt.Errorf("etcd %s: %w", what, err)
	}
	return nil
}
