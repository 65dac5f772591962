// Package s3server starts a real S3 server: the Versity gateway, on a directory and a port of its
// own. A process can have one at a time.
package s3server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// Credentials of the server's only user. They open nothing but a server that a test started.
const (
	AccessKey = "indelible-test"
	SecretKey = "indelible-test-secret"
	Region    = "us-east-1"
)

// Server is a running server.
type Server struct {
	// Endpoint is its URL.
	Endpoint string
	cancel   func()
	ended    chan error
}

// New starts a server on a directory, with buckets, and returns when it answers. Of an address with
// port 0 it chooses the port.
func New(root, address string, buckets ...string) (*Server, error) {
	for _, bucket := range buckets {
		if err := os.MkdirAll(filepath.Join(root, bucket), 0o750); err != nil {
			return nil, fmt.Errorf("S3 server: make bucket: %w", err)
		}
	}
	backend, err := posix.New(root, meta.XattrMeta{}, posix.PosixOpts{})
	if err != nil {
		return nil, fmt.Errorf("S3 server: %w", err)
	}
	if address, err = freePort(address); err != nil {
		return nil, fmt.Errorf("S3 server: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{Endpoint: "http://" + address, cancel: cancel, ended: make(chan error, 1)}
	go func() {
		s.ended <- embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
			RootUserAccess: AccessKey, RootUserSecret: SecretKey, Region: Region, Ports: []string{address},
			MaxConnections: 1000, MaxRequests: 1000, MultipartMaxParts: 10000, Quiet: true, KeepAlive: true,
		})
	}()
	if err := s.answers(); err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

// Close stops the server, and returns when it has stopped.
func (s *Server) Close() {
	s.cancel()
	<-s.ended //nolint:errcheck // it ends because it was told to
}

// Environment is what lets the SDK find the server's credentials.
func Environment() map[string]string {
	return map[string]string{"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey,
		"AWS_EC2_METADATA_DISABLED": "true"}
}

// URL is that of a bucket, as pkg/archive/store/cloud takes it.
func URL(endpoint, bucket string) string {
	return "s3://" + bucket + "?" + url.Values{"endpoint": {endpoint}, "use_path_style": {"true"},
		"region": {Region}}.Encode()
}

func freePort(address string) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// answers waits until the server answers anything at all.
func (s *Server) answers() error {
	for deadline := time.Now().Add(30 * time.Second); ; {
		response, err := http.Get(s.Endpoint) //nolint:noctx // loopback, and bounded by the loop
		if err == nil {
			return response.Body.Close()
		}
		select {
		case ended := <-s.ended:
			s.ended <- nil // for Close
			return fmt.Errorf("S3 server ended: %w", errors.Join(ended, err))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("S3 server does not answer: %w", err)
		}
	}
}
