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

// abortTimeout bounds the removal of a failed upload's parts, which would be billed and not listed.
const abortTimeout = 10 * time.Second

func openS3(ctx context.Context, address *url.URL, silence time.Duration) (*blob.Bucket, hook, error) {
	opener := &s3blob.URLOpener{} // its Options then have the URL's parameters
	bucket, err := opener.OpenBucketURL(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	var found *s3.Client
	if !bucket.As(&found) {
		return nil, nil, errors.New("the S3 driver has no client")
	}
	client := s3.New(found.Options(), func(o *s3.Options) {
		// The SDK's settings for proxy, certificates and AWS_MAX_ATTEMPTS are kept.
		if h, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
			o.HTTPClient = h.WithTransportOptions(tune(silence))
		}
		// 409: another conditional write is in flight and may still fail. S3's documentation says
		// to retry.
		o.Retryer = retry.AddWithErrorCodes(retry.AddWithMaxBackoffDelay(o.Retryer, maxRetryDelay),
			"ConditionalRequestConflict")
		// Otherwise each download of a multipart object logs a line. Package manifest compares
		// digests.
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	if bucket, err = s3blob.OpenBucket(ctx, client, address.Host, &opener.Options); err != nil {
		return nil, nil, err
	}
	// The driver sets neither: by default 16 MiB are buffered before the first part is sent, and an
	// upload whose context ends leaves its parts behind.
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
