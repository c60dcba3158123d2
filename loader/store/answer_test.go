package store_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/store"
)

func TestAnswersSayWhatWaitingCanMend(t *testing.T) {
	for _, c := range []struct {
		status                          int
		retryAfter                      string
		permanent, unreachable, missing bool
		wait                            time.Duration
	}{
		{status: 301, permanent: true},
		{status: 400, permanent: true},
		{status: 401},
		{status: 403},
		{status: 404, missing: true},
		{status: 405, permanent: true},
		{status: 408, retryAfter: "2", wait: 2 * time.Second},
		{status: 410, permanent: true},
		{status: 429, retryAfter: "120", wait: 2 * time.Minute},
		{status: 429, retryAfter: "-1"},
		{status: 429, retryAfter: "Mon, 02 Jan 2006 15:04:05 GMT"},
		{status: 500, unreachable: true},
		{status: 503, unreachable: true, retryAfter: "1", wait: time.Second},
	} {
		err := store.Answered(c.status, http.Header{"Retry-After": {c.retryAfter}}, "Some\nCode")
		if store.IsPermanent(err) != c.permanent || errors.Is(err, store.ErrUnreachable) != c.unreachable ||
			errors.Is(err, fs.ErrNotExist) != c.missing || store.WaitOf(err) != c.wait || !strings.Contains(err.Error(), "Some Code") {
			t.Errorf("%+v: %v, wait %v", c, err, store.WaitOf(err))
		}
	}
	soon := store.Answered(503, http.Header{"Retry-After": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}, "")
	if wait := store.WaitOf(soon); wait < 30*time.Minute || wait > time.Hour {
		t.Errorf("a date an hour from now: %v", wait)
	}
	if long := store.Answered(400, nil, strings.Repeat("é", 500)).Error(); len(long) > 200 {
		t.Errorf("a server's text takes %d bytes", len(long))
	}
}

func TestErrorsNameAReferenceOnceAndNoQuery(t *testing.T) {
	cause := errors.New("no")
	for uri, want := range map[string]string{
		"s3://b/x?region=r":         "s3://b/x?region=r: no",
		"https://h/x?signature=key": "https://h/x: no",
	} {
		err := store.Named(uri, store.Named(uri, cause))
		if err.Error() != want || !errors.Is(err, cause) {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	if store.Named("s3://b", nil) != nil {
		t.Error("no error became one")
	}
	err := store.Unreachable(&url.Error{Op: "Get", URL: "https://h/x?signature=key", Err: cause})
	if err.Error() != "no" || !errors.Is(err, store.ErrUnreachable) || !errors.Is(err, cause) {
		t.Errorf("got %q", err)
	}
}
