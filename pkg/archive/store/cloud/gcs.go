package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"google.golang.org/api/option"
)

// openGCS accepts two parameters: anonymous, and kmskeyid, the resource name of a Cloud KMS key.
func openGCS(ctx context.Context, address *url.URL, silence time.Duration) (*blob.Bucket, hook, error) {
	parameters := address.Query()
	key, anonymous := parameters.Get("kmskeyid"), parameters.Get("anonymous") == "true" ||
		os.Getenv("STORAGE_EMULATOR_HOST") != ""
	parameters.Del("kmskeyid")
	parameters.Del("anonymous")
	for name := range parameters {
		// for example grpc, to which tune does not apply
		return nil, nil, fmt.Errorf("unknown query parameter %q", name)
	}
	httpClient := gcp.NewAnonymousHTTPClient(transport(silence))
	if !anonymous {
		credentials, err := gcp.DefaultCredentials(ctx)
		if err != nil {
			return nil, nil, err
		}
		tokens := gcp.CredentialsTokenSource(credentials)
		if httpClient, err = gcp.NewHTTPClient(transport(silence), tokens); err != nil {
			return nil, nil, err
		}
	}
	bucket, err := gcsblob.OpenBucket(ctx, httpClient, address.Host, &gcsblob.Options{
		// The SDK reads by the XML API by default, whose errors do not distinguish a missing object
		// from a missing bucket.
		ClientOptions: []option.ClientOption{storage.WithJSONReads()},
	})
	if err != nil {
		return nil, nil, err
	}
	var client *storage.Client
	if !bucket.As(&client) {
		return nil, nil, errors.New("the GCS driver has no client")
	}
	// By default the SDK retries until the context ends.
	client.SetRetry(storage.WithMaxAttempts(attempts),
		storage.WithBackoff(gax.Backoff{Initial: maxRetryDelay / 10, Max: maxRetryDelay, Multiplier: 3}))
	return bucket, func(as func(any) bool) error {
		var writer *storage.Writer
		if !as(&writer) {
			return errors.New("the GCS driver has no writer")
		}
		writer.KMSKeyName = key
		return nil
	}, nil
}
