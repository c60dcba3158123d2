package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"google.golang.org/api/googleapi"

	"github.com/segue-serving/segue/loader/store"
)

// GCS is the store of gs: references, Google's. An emulator that the process's
// environment names (STORAGE_EMULATOR_HOST) is asked without credentials.
func GCS() *Store {
	return &Store{scheme: "gs", parameters: []string{"anonymous"}, open: openGCS, answer: answerOfGCS}
}

func openGCS(ctx context.Context, p place) (*blob.Bucket, error) {
	anonymous, err := truth(p.parameters, "anonymous")
	if err != nil {
		return nil, err
	}
	client := gcp.NewAnonymousHTTPClient(gcp.DefaultTransport())
	if !anonymous && os.Getenv("STORAGE_EMULATOR_HOST") == "" {
		credentials, err := gcp.DefaultCredentials(ctx)
		if err != nil {
			return nil, fmt.Errorf("no credentials: set GOOGLE_APPLICATION_CREDENTIALS, or give the machine a service account; ?anonymous=true reads a public bucket (%w)", err)
		}
		if client, err = gcp.NewHTTPClient(gcp.DefaultTransport(), gcp.CredentialsTokenSource(credentials)); err != nil {
			return nil, store.Permanent(err)
		}
	}
	b, err := gcsblob.OpenBucket(ctx, client, p.bucket, nil)
	if err != nil {
		return nil, err
	}
	var inner *storage.Client
	if b.As(&inner) {
		inner.SetRetry(storage.WithMaxAttempts(attempts)) // else it would try for ever
	}
	return b, nil
}

// attempts is how often a client of a bucket asks before it gives up, as
// Amazon's does by itself. Whoever fetches tries again later.
const attempts = 3

func answerOfGCS(err error) (answer, bool) {
	var said *googleapi.Error
	if !errors.As(err, &said) {
		return answer{}, false
	}
	a := answer{status: said.Code, header: said.Header}
	if len(said.Errors) > 0 {
		a.code = said.Errors[0].Reason
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	return a, true
}
