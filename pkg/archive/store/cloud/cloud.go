// Package cloud opens stores by URL. It is a package of its own because it brings the SDKs of three
// clouds, which only programs need that read or write the archive.
//
//	file:///var/lib/indelible/archive
//	s3://bucket?region=eu-central-1
//	gs://bucket
//	azblob://container
//
// Parameters of all but file (ours):
//
//	prefix      the beginning of all keys, for buckets that hold other things as well
//	timeout     how long the server may be silent before a call ends, such as 10s; by default 30s
//
// S3, and what speaks its protocol (gocloud.dev/blob/s3blob, gocloud.dev/aws):
//
//	region, endpoint, use_path_style, disable_https, dualstack, fips, accelerate
//	ssetype     AES256, aws:kms or aws:kms:dsse; without it the bucket's default encryption is in force
//	kmskeyid    key of aws:kms
//	profile, role, anonymous
//	request_checksum_calculation, response_checksum_validation
//	            when_required for third-party servers that refuse the checksums which the SDK adds
//
// Credentials are found as the SDK finds them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
// AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN (IAM roles for service accounts),
// AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS Pod Identity), the shared files, the instance's metadata.
// AWS_CA_BUNDLE, AWS_MAX_ATTEMPTS and HTTPS_PROXY are heeded.
//
// Google Cloud Storage:
//
//	kmskeyid    (ours) projects/P/locations/L/keyRings/R/cryptoKeys/K; without it the bucket's default encryption is in force
//	anonymous
//
// Credentials are Application Default Credentials: GOOGLE_APPLICATION_CREDENTIALS (a key or a
// workload identity federation's configuration), the metadata server (GKE Workload Identity).
//
// Azure Blob Storage (gocloud.dev/blob/azureblob):
//
//	storage_account, domain, protocol, cdn, localemu
//	encryptionscope  (ours) name of an encryption scope of the account; without it the container's default is in force
//
// Credentials: AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN,
// AZURE_STORAGE_CONNECTION_STRING; else the SDK's default chain (AZURE_CLIENT_ID, AZURE_TENANT_ID
// and AZURE_FEDERATED_TOKEN_FILE of AKS Workload Identity, managed identity).
//
// Secrets never stand in a URL, and no error repeats one's parameters.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Open opens the store of a URL. It does not ask the store anything: that it is there and may be
// written to shows at the first use.
func Open(ctx context.Context, text string) (store.Store, error) {
	address, err := url.Parse(text)
	if err != nil {
		before, _, _ := strings.Cut(text, "?")
		return nil, fmt.Errorf("store: %s is not a URL", before) // its parameters may hold what is not to be seen
	}
	parameters := address.Query()
	prefix := parameters.Get("prefix")
	if prefix != "" {
		if err := store.CheckKey(strings.TrimSuffix(prefix, "/")); err != nil {
			return nil, fmt.Errorf("store: parameter prefix: %w", err)
		}
	}
	parameters.Del("prefix")
	if address.Scheme == "file" {
		return directory(address, prefix, parameters)
	}
	open := drivers[address.Scheme]
	if open == nil {
		return nil, fmt.Errorf("store: scheme %q of the URL must be one of file, s3, gs, azblob", address.Scheme)
	}
	silence := defaultSilence
	if text := parameters.Get("timeout"); text != "" {
		if silence, err = time.ParseDuration(text); err != nil || silence <= 0 {
			return nil, fmt.Errorf("store: parameter timeout must be a duration such as 30s")
		}
	}
	parameters.Del("timeout")
	address.RawQuery = parameters.Encode()
	bucket, before, err := open(ctx, address, silence)
	if err != nil {
		return nil, fmt.Errorf("store: open %s bucket %s: %w", address.Scheme, address.Host,
			withoutQuery(err, address.String()))
	}
	if prefix != "" {
		bucket = blob.PrefixedBucket(bucket, strings.TrimSuffix(prefix, "/")+"/")
	}
	return store.NewBucket(bucket, before), nil
}

// hook sets, at each upload, what only one driver knows (see store.NewBucket).
type hook = func(as func(any) bool) error

var drivers = map[string]func(context.Context, *url.URL, time.Duration) (*blob.Bucket, hook, error){
	"s3": openS3, "gs": openGCS, "azblob": openAzure,
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
	before, query, found := strings.Cut(text, "?")
	if !found || query == "" || !strings.Contains(err.Error(), query) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), before+"?"+query, before+"?…"))
}
