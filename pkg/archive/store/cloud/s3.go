package cloud

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// abortTimeout bounds the removal of a failed upload's parts, which are paid for and not listed
// until then.
const abortTimeout = 10 * time.Second

func openS3(ctx context.Context, address *url.URL, silence time.Duration) (*blob.Bucket, hook, error) {
	opener := &s3blob.URLOpener{} // leaves in its options what the URL says
	bucket, err := opener.OpenBucketURL(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	var found *s3.Client
	if !bucket.As(&found) {
		return nil, nil, errors.New("the S3 driver has no client")
	}
	client := s3.New(found.Options(), func(o *s3.Options) {
		// A proxy, a bundle of certificates and AWS_MAX_ATTEMPTS have been found by the SDK, and
		// stay.
		if h, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
			o.HTTPClient = h.WithTransportOptions(tune(silence))
		}
		// A conflict is another conditional write under way, which may fail: S3's documentation
		// says to try again.
		o.Retryer = retry.AddWithErrorCodes(retry.AddWithMaxBackoffDelay(o.Retryer, retryPause), "ConditionalRequestConflict")
		// Else every download of several parts' object writes a line. Digests are compared by
		// package manifest.
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	if bucket, err = s3blob.OpenBucket(ctx, client, address.Host, &opener.Options); err != nil {
		return nil, nil, err
	}
	// The driver sets neither of the two: by default 16 MiB are buffered before the first part is
	// sent, and an upload whose context has ended leaves its parts behind.
	uploads := *transfermanager.New(client, func(o *transfermanager.Options) {
		o.RequestChecksumCalculation = opener.Options.RequestChecksumCalculation
		o.PartSizeBytes, o.MultipartUploadThreshold, o.Concurrency = store.PartSize, store.PartSize, store.Concurrency
		o.FailTimeout = abortTimeout
	})
	return bucket, func(as func(any) bool) error {
		var driver *transfermanager.Client
		if !as(&driver) {
			return errors.New("the S3 driver has no transfer manager")
		}
		*driver = uploads
		return nil
	}, nil
}
