// Package s3server starts a real S3 server for tests: the Versity gateway, on a directory and a loopback port of its own.
package s3server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// Credentials of the server's only user. They open nothing but a server that a test started on loopback.
const (
	AccessKey = "indelible-test"
	SecretKey = "indelible-test-secret"
	region    = "us-east-1"
)

// Start starts a server, makes buckets in it, sets the environment by which the SDK finds its credentials, and returns the
// server's address. The server ends with the test.
func Start(t testing.TB, buckets ...string) (endpoint string) {
	t.Helper()
	root := t.TempDir()
	for _, bucket := range buckets {
		if err := os.Mkdir(filepath.Join(root, bucket), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	backend, err := posix.New(root, meta.XattrMeta{}, posix.PosixOpts{})
	if err != nil {
		t.Fatal(fmt.Errorf("S3 server: %w", err))
	}
	address := freePort(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
			RootUserAccess: AccessKey, RootUserSecret: SecretKey, Region: region, Ports: []string{address},
			MaxConnections: 1000, MaxRequests: 1000, MultipartMaxParts: 10000, Quiet: true, KeepAlive: true,
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	endpoint = "http://" + address
	answers(t, endpoint, ended)
	setenv(t, map[string]string{"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_EC2_METADATA_DISABLED": "true"})
	return endpoint
}

// URL is that of a bucket, as pkg/archive/store/cloud takes it.
func URL(endpoint, bucket string) string {
	return "s3://" + bucket + "?" + url.Values{"endpoint": {endpoint}, "use_path_style": {"true"}, "region": {region}}.Encode()
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// answers waits until the server answers anything at all.
func answers(t testing.TB, endpoint string, ended <-chan error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		response, err := http.Get(endpoint) //nolint:noctx // loopback, and bounded by the loop
		if err == nil {
			_ = response.Body.Close()
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("S3 server ended: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("S3 server does not answer: %v", err)
		}
	}
}

func setenv(t testing.TB, values map[string]string) {
	for name, value := range values {
		t.Setenv(name, value)
	}
}
