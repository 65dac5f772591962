package storage

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/archive/store/cloud"
	"github.com/indelible-ci/indelible/pkg/archive/store/storetest"
	"github.com/indelible-ci/indelible/test/storage/s3server"
)

// A real S3 server passes what every store must. Each test has a prefix of its own in one bucket.
func TestS3(t *testing.T) {
	endpoint := s3server.Start(t, "archive")
	var places atomic.Int64
	storetest.Run(t, options(t), func(t *testing.T) func() store.Store {
		url := s3server.URL(endpoint, "archive") + fmt.Sprintf("&prefix=place-%d", places.Add(1))
		return func() store.Store { return open(t, url) }
	})
}

func open(t *testing.T, url string) store.Store {
	t.Helper()
	s, err := cloud.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// options are small ones; STREAM_MIB=1024 streams a gigabyte.
func options(t *testing.T) storetest.Options {
	t.Helper()
	o := storetest.Options{Races: 50, StreamBytes: 64 << 20}
	if text := os.Getenv("STREAM_MIB"); text != "" {
		mib, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("STREAM_MIB: %v", err)
		}
		o.StreamBytes = int64(mib) << 20
	}
	return o
}
