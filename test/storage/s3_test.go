package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/archive/store/cloud"
	"github.com/indelible-ci/indelible/pkg/archive/store/storetest"
	"github.com/indelible-ci/indelible/test/storage/s3server"
)

const bucket = "archive"

// s3 is the URL of the one S3 server that a process can have.
var s3 string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	root, err := os.MkdirTemp("", "s3-")
	if err == nil {
		defer os.RemoveAll(root)
		var server *s3server.Server
		if server, err = s3server.New(root, "127.0.0.1:0", bucket); err == nil {
			defer server.Close()
			s3 = server.Endpoint
		}
	}
	for name, value := range s3server.Environment() {
		err = errors.Join(err, os.Setenv(name, value))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func s3URL(endpoint string) string { return s3server.URL(endpoint, bucket) }

var places atomic.Int64

// place is the parameter for a prefix that no other test has.
func place() string { return fmt.Sprintf("&prefix=place-%d", places.Add(1)) }

// A real S3 server passes what every store must.
func TestS3(t *testing.T) {
	storetest.Run(t, storetest.Options{Races: 50, StreamBytes: 64 << 20}, func(t *testing.T) func() store.Store {
		url := s3URL(s3) + place()
		return func() store.Store { return open(t, url) }
	})
}

// Parts of an upload that failed are paid for, and no listing of objects shows them.
func TestS3FailedUploadsLeaveNoParts(t *testing.T) {
	t.Parallel()
	place := place()
	s, prefix := open(t, s3URL(s3)+place), strings.TrimPrefix(place, "&prefix=")
	broken := errors.New("the pod is gone")
	ctx, cancel := context.WithCancel(t.Context())
	for name, failing := range map[string]func() (int, error){
		"body":    func() (int, error) { return 0, broken },
		"context": func() (int, error) { cancel(); return 0, nil },
	} {
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", 12<<20)),
			readerFunc(func([]byte) (int, error) { return failing() }))
		if err := s.Create(ctx, "failing/"+name, body); err == nil {
			t.Errorf("%s: created", name)
		}
	}
	client := rawS3(t)
	uploads, err := client.ListMultipartUploads(t.Context(),
		&awss3.ListMultipartUploadsInput{Bucket: aws.String(bucket), Prefix: &prefix})
	if err != nil {
		t.Fatal(err)
	}
	if len(uploads.Uploads) != 0 {
		t.Errorf("%d uploads are left, want none", len(uploads.Uploads))
	}
}

// rawS3 is the SDK's own client, for what a store does not show.
func rawS3(t *testing.T) *awss3.Client {
	t.Helper()
	c, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(s3server.Region))
	if err != nil {
		t.Fatal(err)
	}
	return awss3.NewFromConfig(c, func(o *awss3.Options) { o.BaseEndpoint, o.UsePathStyle = &s3, true })
}

func open(t testing.TB, url string) store.Store {
	t.Helper()
	s, err := cloud.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
