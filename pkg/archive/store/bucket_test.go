package store_test

import (
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/archive/store/storetest"
)

// Bucket on a bucket in memory. Object stores run the same tests in test/storage.
func TestBucketInMemory(t *testing.T) {
	storetest.Run(t, storetest.Options{Races: 200, StreamBytes: 16 << 20}, func(*testing.T) func() store.Store {
		bucket := memblob.OpenBucket(nil)
		return func() store.Store { return store.NewBucket(blob.PrefixedBucket(bucket, "team/"), nil) }
	})
}
