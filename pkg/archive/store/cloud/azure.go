package cloud

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	azblobblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
)

// openAzure accepts the driver's parameters, and encryptionscope, the name of an encryption scope
// of the account.
func openAzure(ctx context.Context, address *url.URL, silence time.Duration) (*blob.Bucket, hook, error) {
	parameters := address.Query()
	scope := parameters.Get("encryptionscope")
	parameters.Del("encryptionscope")
	without := *address
	without.RawQuery = parameters.Encode()
	options := azcore.ClientOptions{
		Transport: &http.Client{Transport: transport(silence)},
		Retry: policy.RetryOptions{MaxRetries: attempts - 1, RetryDelay: maxRetryDelay / 10,
			MaxRetryDelay: maxRetryDelay},
	}
	opener := azureblob.URLOpener{
		ServiceURLOptions: *azureblob.NewDefaultServiceURLOptions(),
		MakeClient: func(service azureblob.ServiceURL, name azureblob.ContainerName) (*container.Client, error) {
			return azureClient(string(service), string(name), options)
		},
	}
	bucket, err := opener.OpenBucketURL(ctx, &without)
	if err != nil {
		return nil, nil, err
	}
	return bucket, func(as func(any) bool) error {
		var upload *azblob.UploadStreamOptions
		if !as(&upload) {
			return errors.New("the Azure driver has no upload options")
		}
		if scope != "" {
			upload.CPKScopeInfo = &azblobblob.CPKScopeInfo{EncryptionScope: &scope}
		}
		return nil
	}, nil
}

// azureClient looks for credentials in the same order as the driver (gocloud.dev/blob/azureblob),
// whose own client accepts no transport: account key, shared access signature (part of the
// service's URL), connection string, then the SDK's default chain: workload identity, managed
// identity, the environment's service principal.
func azureClient(service, name string, options azcore.ClientOptions) (*container.Client, error) {
	address, err := url.JoinPath(service, name)
	if err != nil {
		return nil, errors.New("the service's URL is invalid")
	}
	with := &container.ClientOptions{ClientOptions: options}
	account, key := os.Getenv("AZURE_STORAGE_ACCOUNT"), os.Getenv("AZURE_STORAGE_KEY")
	connection := os.Getenv("AZURE_STORAGE_CONNECTION_STRING")
	switch {
	case account != "" && key != "":
		credential, err := azblob.NewSharedKeyCredential(account, key)
		if err != nil {
			return nil, err
		}
		return container.NewClientWithSharedKeyCredential(address, credential, with)
	case os.Getenv("AZURE_STORAGE_SAS_TOKEN") != "":
		return container.NewClientWithNoCredential(address, with)
	case connection != "":
		return container.NewClientFromConnectionString(connection, name, with)
	}
	credential, err := azidentity.NewDefaultAzureCredential(
		&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
	if err != nil {
		return nil, err
	}
	return container.NewClient(address, credential, with)
}
