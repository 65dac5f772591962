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

	"golang.org/x/sync/errgroup"
)

// gateway is the local cluster's etcd (test/cluster/node), which also speaks JSON.
const gateway = "https://127.0.0.1:2379/v3/kv/"

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
		TLSClientConfig:     &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: writers,
	}}}, nil
}

// writers are how many requests are under way at a time.
const writers = 32

// write writes n values, whose keys and contents each gives. Each has a revision of its own: the API server's caches take no
// two objects of one revision, as a transaction would make them.
func (e *etcd) write(ctx context.Context, n int, each func(i int) (key string, value []byte, err error)) error {
	return concurrently(ctx, n, func(ctx context.Context, i int) error {
		key, value, err := each(i)
		if err != nil {
			return err
		}
		return e.post(ctx, "put", map[string]any{"key": []byte(key), "value": value}, nil)
	})
}

// deleteBelow deletes all keys that begin with a prefix, which ends in a slash, one by one as well.
func (e *etcd) deleteBelow(ctx context.Context, prefix string) error {
	end := []byte(prefix)
	end[len(end)-1]++
	var found struct {
		Kvs []struct {
			Key []byte `json:"key"`
		} `json:"kvs"`
	}
	if err := e.post(ctx, "range", map[string]any{"key": []byte(prefix), "range_end": end, "keys_only": true}, &found); err != nil {
		return err
	}
	return concurrently(ctx, len(found.Kvs), func(ctx context.Context, i int) error {
		return e.post(ctx, "deleterange", map[string]any{"key": found.Kvs[i].Key}, nil)
	})
}

// concurrently does something for each of n, several at a time, until one fails.
func concurrently(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(writers)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		all.Go(func() error { return do(ctx, i) })
	}
	return all.Wait()
}

func (e *etcd) post(ctx context.Context, what string, request, answered any) error {
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
