// Package cloud opens stores by URL: file:///var/lib/indelible, s3://bucket?region=eu-central-1, gs://bucket, azblob://container. It
// is a package of its own because it brings the SDKs of three clouds, which only the archiver and the API need.
//
// Parameters of a URL are those of gocloud.dev, such as endpoint, use_path_style and ssetype for S3; credentials are found as
// the SDKs find them: workload identity, environment, files, the instance's metadata. The parameter prefix (ours) is the
// beginning of all keys, for buckets that hold other things as well.
package cloud

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Open opens the store of a URL. It does not ask the store anything: that it is there and may be written to shows at the
// first use.
func Open(ctx context.Context, text string) (store.Store, error) {
	address, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("store: %w", withoutQuery(err, text))
	}
	parameters := address.Query()
	prefix := parameters.Get("prefix")
	if prefix != "" {
		if err := store.CheckKey(strings.TrimSuffix(prefix, "/")); err != nil {
			return nil, fmt.Errorf("store: parameter prefix: %w", err)
		}
	}
	parameters.Del("prefix")
	switch address.Scheme {
	case "file":
		return directory(address, prefix, parameters)
	case "s3", "gs", "azblob":
	default:
		return nil, fmt.Errorf("store: scheme %q of the URL must be one of file, s3, gs, azblob", address.Scheme)
	}
	address.RawQuery = parameters.Encode()
	bucket, err := blob.OpenBucket(ctx, address.String())
	if err != nil {
		return nil, fmt.Errorf("store: open %s bucket %s: %w", address.Scheme, address.Host, err)
	}
	if prefix != "" {
		bucket = blob.PrefixedBucket(bucket, strings.TrimSuffix(prefix, "/")+"/")
	}
	return store.NewBucket(bucket), nil
}

func directory(address *url.URL, prefix string, parameters url.Values) (store.Store, error) {
	switch {
	case address.Host != "" || !strings.HasPrefix(address.Path, "/"):
		return nil, fmt.Errorf("store: a directory is given as file:///absolute/path")
	case prefix != "":
		return nil, fmt.Errorf("store: a directory has no prefix: give a directory below instead")
	}
	for name := range parameters {
		return nil, fmt.Errorf("store: a directory has no parameter %s", name)
	}
	return store.NewDirectory(address.Path)
}

// withoutQuery keeps what a URL's parameters may hold, such as keys, out of an error.
func withoutQuery(err error, text string) error {
	before, _, found := strings.Cut(text, "?")
	if !found {
		return err
	}
	return fmt.Errorf("%s?… is not a URL", before)
}
