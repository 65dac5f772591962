package cloud

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// backends has the function that opens a store, by URL scheme. To add one: write that function in a
// file of its own, add it here, to the package's comment and to docs/stores.md, and run
// storetest.Run on it in test/storage.
var backends = map[string]func(ctx context.Context, address *url.URL) (store.Store, error){
	"file":   openDirectory,
	"s3":     bucketOf(openS3),
	"gs":     bucketOf(openGCS),
	"azblob": bucketOf(openAzure),
}

// driver opens the bucket of a URL from which our parameters have been removed. Its calls end when
// the server is silent for the duration silence.
type driver func(ctx context.Context, address *url.URL, silence time.Duration) (*blob.Bucket, hook, error)

// hook sets driver-specific options at each upload (see store.NewBucket).
type hook = func(as func(any) bool) error

// bucketOf makes a backend of a driver, with the parameters prefix and timeout.
func bucketOf(open driver) func(context.Context, *url.URL) (store.Store, error) {
	return func(ctx context.Context, address *url.URL) (store.Store, error) {
		parameters := address.Query()
		prefix := strings.TrimSuffix(parameters.Get("prefix"), "/")
		if parameters.Get("prefix") != "" {
			if err := store.CheckKey(prefix); err != nil {
				return nil, fmt.Errorf("store: parameter prefix: %w", err)
			}
		}
		silence := defaultSilence
		if text := parameters.Get("timeout"); text != "" {
			var err error
			if silence, err = time.ParseDuration(text); err != nil || silence <= 0 {
				return nil, fmt.Errorf("store: parameter timeout must be a duration such as 30s")
			}
		}
		parameters.Del("prefix")
		parameters.Del("timeout")
		address.RawQuery = parameters.Encode()
		bucket, before, err := open(ctx, address, silence)
		if err != nil {
			return nil, fmt.Errorf("store: open %s bucket %s: %w", address.Scheme, address.Host,
				withoutQuery(err, address.String()))
		}
		if prefix != "" {
			bucket = blob.PrefixedBucket(bucket, prefix+"/")
		}
		return store.NewBucket(bucket, before), nil
	}
}

func openDirectory(_ context.Context, address *url.URL) (store.Store, error) {
	parameters := address.Query()
	switch {
	case address.Host != "" || !strings.HasPrefix(address.Path, "/"):
		return nil, fmt.Errorf("store: a directory is given as file:///absolute/path")
	case parameters.Get("prefix") != "":
		return nil, fmt.Errorf("store: a directory has no prefix: give a directory below instead")
	}
	parameters.Del("prefix")
	for name := range parameters {
		return nil, fmt.Errorf("store: a directory has no parameter %s", name)
	}
	return store.NewDirectory(address.Path)
}
