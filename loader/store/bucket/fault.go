package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"gocloud.dev/gcerrors"

	"github.com/segue-serving/segue/loader/store"
)

// answer is what a store's server said.
type answer struct {
	status int
	header http.Header
	// code is the server's own name for the error.
	code string
}

// fault puts an error of a bucket into this project's words: what the server
// answered, and whether waiting can mend it.
func (o *origin) fault(what string, err error) error {
	return fmt.Errorf("%s: %s: %w", o.place.uri, what, o.store.meaning(err))
}

func (s *Store) meaning(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if a, ok := s.answer(err); ok {
		switch {
		// These are answered with 400, and new credentials mend them.
		case a.code == "ExpiredToken", a.code == "TokenRefreshRequired", a.code == "RequestExpired":
			a.status = http.StatusUnauthorized
		case a.status == http.StatusNotFound && a.code == "NotFound":
			a.code = "" // of a HEAD, which has no words of its own
		}
		return store.Answered(a.status, a.header, a.code)
	}
	if gcerrors.Code(err) == gcerrors.NotFound {
		return store.Answered(http.StatusNotFound, nil, "")
	}
	if store.IsPermanent(err) { // the address is not allowed
		return err
	}
	return store.Unreachable(err)
}
