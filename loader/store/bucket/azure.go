package bucket

import (
	"context"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"

	"github.com/segue-serving/segue/loader/store"
)

// Azure is the store of azblob: references, Microsoft's.
func Azure() *Store {
	return &Store{scheme: "azblob", parameters: []string{"storage_account"}, open: openAzure, answer: answerOfAzure}
}

func openAzure(ctx context.Context, p place) (*blob.Bucket, error) {
	options := azureblob.NewDefaultServiceURLOptions()
	if account := p.parameters.Get("storage_account"); account != "" {
		options.AccountName = account
	}
	if options.AccountName == "" {
		return nil, store.Permanent(errors.New("no account: add ?storage_account=NAME, or set AZURE_STORAGE_ACCOUNT"))
	}
	service, err := azureblob.NewServiceURL(options)
	if err != nil {
		return nil, store.Permanent(err)
	}
	client, err := azureblob.NewDefaultClient(service, azureblob.ContainerName(p.bucket))
	if err != nil {
		return nil, fmt.Errorf("no credentials: set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING, or give the machine an identity (%w)", err)
	}
	return azureblob.OpenBucket(ctx, client, nil)
}

func answerOfAzure(err error) (answer, bool) {
	var said *azcore.ResponseError
	if !errors.As(err, &said) {
		return answer{}, false
	}
	a := answer{status: said.StatusCode, code: said.ErrorCode}
	if said.RawResponse != nil {
		a.header = said.RawResponse.Header
	}
	return a, true
}
