package main

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

const (
	// gateway is the local cluster's etcd (test/cluster/node), which also speaks JSON.
	gateway = "https://127.0.0.1:2379/v3/kv/"
	// maxOperations of a transaction are what etcd takes without being told otherwise (128), maxBytes is what it takes of a request
	// (1.5 MiB), with room to spare.
	maxOperations, maxBytes = 100, 1 << 20
)

// etcd writes objects as the API server stores them.
type etcd struct{ client *http.Client }

// openEtcd returns nil if the folder is not the local cluster's.
func openEtcd(state string) (*etcd, error) {
	pki := filepath.Join(state, "pki")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(pki, "kube-apiserver.crt"), filepath.Join(pki, "kube-apiserver.key"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
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
	return &etcd{&http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}}}, nil
}

// put is a value and where it goes. etcd's JSON has bytes in base64, as Go's has.
type put struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
}

// write writes many values, as many a transaction as it takes.
func (e *etcd) write(ctx context.Context, n int, each func(i int) (put, error)) error {
	type operation struct {
		Put put `json:"request_put"`
	}
	var group []operation
	size := 0
	flush := func() error {
		err := e.post(ctx, "txn", map[string]any{"success": group})
		group, size = nil, 0
		return err
	}
	for i := range n {
		p, err := each(i)
		if err != nil {
			return err
		}
		if len(group) == maxOperations || size > 0 && size+len(p.Value) > maxBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		group, size = append(group, operation{p}), size+len(p.Value)
	}
	return flush()
}

// deleteBelow deletes all keys that begin with a prefix, which ends in a slash.
func (e *etcd) deleteBelow(ctx context.Context, prefix string) error {
	end := []byte(prefix)
	end[len(end)-1]++
	return e.post(ctx, "deleterange", map[string]any{"key": []byte(prefix), "range_end": end})
}

func (e *etcd) post(ctx context.Context, what string, request any) error {
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
	if err != nil {
		return fmt.Errorf("etcd %s: %w", what, err)
	}
	return nil
}
