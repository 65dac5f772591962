package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Files serves the certificate in a folder with the files tls.crt and tls.key, and follows their
// changes. Whoever writes them (cert-manager) also maintains the caBundles.
type Files struct {
	*certwatcher.CertWatcher
	metrics *Metrics

	mu   sync.Mutex
	leaf time.Time // when the certificate in use expires
}

// NewFiles reads the certificate for the first time. It fails if there is none: a mounted Secret
// exists before the container starts.
func NewFiles(dir string, metrics *Metrics) (*Files, error) {
	watcher, err := certwatcher.New(filepath.Join(dir, keyServingCert), filepath.Join(dir, keyServingKey))
	if err != nil {
		return nil, fmt.Errorf("reading the serving certificate in %s: %w", dir, err)
	}
	f := &Files{CertWatcher: watcher, metrics: metrics}
	watcher.RegisterCallback(f.note)
	return f, nil
}

// note is called with each new certificate, including the first.
func (f *Files) note(cert tls.Certificate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaf = cert.Leaf.NotAfter
	f.metrics.expiry(kindServing, f.leaf)
}

// Run follows the files until ctx ends.
func (f *Files) Run(ctx context.Context) error {
	return f.Start(ctx)
}

// Ready returns why API servers cannot be served, nil if they can.
func (f *Files) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !time.Now().Before(f.leaf) {
		return errors.New("the serving certificate has expired")
	}
	return nil
}
