package store

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ErrUnreachable marks errors of a store that gave no answer or could not serve
// one: no connection, no name, or a status of 5xx.
var ErrUnreachable = errors.New("the store cannot be reached")

// Unreachable marks an error as ErrUnreachable. Where it comes from Go's HTTP
// client, the address that the client puts before it is dropped, since its
// query can be a secret.
func Unreachable(err error) error { return &unreachableError{WithoutURL(err)} }

type unreachableError struct{ err error }

func (e *unreachableError) Error() string        { return e.err.Error() }
func (e *unreachableError) Unwrap() error        { return e.err }
func (e *unreachableError) Is(target error) bool { return target == ErrUnreachable }

// WithoutURL drops the address that Go's HTTP client and its parser of URLs put
// before an error: its query can be a secret.
func WithoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return WithoutURL(wrapped.Err)
	}
	return err
}

// Answered turns the status of an HTTP answer that is no success into an
// error. It says what waiting can mend: rights and credentials are given, files
// appear and servers recover without a word to this process, so that only an
// answer to a request that makes no sense is permanent. 404 is fs.ErrNotExist.
// The detail, the server's own name for the error, may be empty.
func Answered(status int, header http.Header, detail string) error {
	text := strings.TrimSpace(fmt.Sprintf("the store answered %d %s", status, clip(detail)))
	switch {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%s: credentials are missing, wrong or expired", text)
	case status == http.StatusForbidden:
		return fmt.Errorf("%s: the credentials, or their absence, do not give access", text)
	case status == http.StatusNotFound:
		return fmt.Errorf("%s: there is no such file (%w)", text, fs.ErrNotExist)
	case status == http.StatusTooManyRequests:
		return later(fmt.Errorf("%s: too many requests", text), header)
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return later(errors.New(text), header)
	case status >= 500:
		return later(Unreachable(errors.New(text)), header)
	case status >= 300 && status < 400:
		return Permanent(fmt.Errorf("%s: it lies at another place, or in another region", text))
	}
	return Permanent(errors.New(text))
}

// clip keeps a foreign text short and on one line.
func clip(text string) string {
	const most = 120
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, text)
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// later marks an error with the Retry-After of an answer.
func later(err error, header http.Header) error {
	text := header.Get("Retry-After")
	if seconds, parseErr := strconv.ParseUint(text, 10, 31); parseErr == nil {
		return Later(err, time.Duration(seconds)*time.Second)
	}
	if at, parseErr := http.ParseTime(text); parseErr == nil {
		if wait := time.Until(at); wait > 0 {
			return Later(err, wait)
		}
	}
	return err
}

// Shown is a reference as it may be logged: of http: and https: without the
// query, which can be a secret.
func Shown(uri string) string {
	if scheme, _, err := SplitURI(uri); err == nil && (scheme == "http" || scheme == "https") {
		uri, _, _ = strings.Cut(uri, "?")
	}
	return uri
}

// Named puts a reference, as it is shown, before an error that does not begin
// with it.
func Named(uri string, err error) error {
	if err == nil || strings.HasPrefix(err.Error(), Shown(uri)+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", Shown(uri), err)
}
