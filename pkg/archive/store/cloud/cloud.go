// Package cloud opens stores by URL. It is a separate package because it imports the SDKs of three
// clouds. backends.go has the registry of schemes.
//
//	file:///var/lib/indelible/archive
//	s3://bucket?region=eu-central-1
//	gs://bucket
//	azblob://container
//
// Parameters of all but file (ours):
//
//	prefix      the beginning of all keys, for buckets with other content
//	timeout     how long the server may be silent before a call ends, such as 10s; by default 30s
//
// S3 and compatible stores (gocloud.dev/blob/s3blob, gocloud.dev/aws):
//
//	region, endpoint, use_path_style, disable_https, dualstack, fips, accelerate
//	ssetype     AES256, aws:kms or aws:kms:dsse; by default the bucket's encryption applies
//	kmskeyid    key of aws:kms
//	profile, role, anonymous
//	request_checksum_calculation, response_checksum_validation
//	            when_required for third-party servers that refuse the SDK's checksums
//
// The SDK finds credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
// AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN (IAM roles for service accounts),
// AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS Pod Identity), the shared files, the instance's metadata.
// AWS_CA_BUNDLE, AWS_MAX_ATTEMPTS and HTTPS_PROXY apply.
//
// Google Cloud Storage:
//
//	kmskeyid    (ours) projects/P/locations/L/keyRings/R/cryptoKeys/K; by default the bucket's
//	            encryption applies
//	anonymous
//
// Credentials are Application Default Credentials: GOOGLE_APPLICATION_CREDENTIALS (a key or the
// configuration of a workload identity federation), the metadata server (GKE Workload Identity).
//
// Azure Blob Storage (gocloud.dev/blob/azureblob):
//
//	storage_account, domain, protocol, cdn, localemu
//	encryptionscope  (ours) an encryption scope of the account; by default the container's applies
//
// Credentials: AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN,
// AZURE_STORAGE_CONNECTION_STRING; else the SDK's default chain (AZURE_CLIENT_ID, AZURE_TENANT_ID
// and AZURE_FEDERATED_TOKEN_FILE of AKS Workload Identity, managed identity).
//
// Secrets are never part of a URL, and no error contains a URL's parameters.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Open opens the store of a URL. It sends no request: the first use shows whether the store exists
// and is writable.
func Open(ctx context.Context, address string) (store.Store, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		before, _, _ := strings.Cut(address, "?") // parameters may be secret
		return nil, fmt.Errorf("store: %s is not a URL", before)
	}
	open := backends[parsed.Scheme]
	if open == nil {
		return nil, fmt.Errorf("store: scheme %q of the URL must be one of file, s3, gs, azblob", parsed.Scheme)
	}
	return open(ctx, parsed)
}

// withoutQuery removes a URL's parameters, which may be secret, from an error.
func withoutQuery(err error, text string) error {
	before, query, found := strings.Cut(text, "?")
	if !found || query == "" || !strings.Contains(err.Error(), query) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), before+"?"+query, before+"?…"))
}
