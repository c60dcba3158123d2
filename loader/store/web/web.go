// Package web is the remote store of plain HTTP: http: and https:. An artifact
// is a folder of a server, whose files lie below the reference, or one .onnx
// file. A query in the reference, such as a signature, goes with every file.
//
// The package promises that a request goes only where egress allows, that
// credentials go to the host they are for and never along with a redirect, that
// a file which changes while it is read is begun anew, and that no error shows
// a query or a credential. It never writes, and it cannot list.
//
//	remote := web.New(hosts, web.Environment(os.Getenv))
//	origin, err := remote.Open(ctx, store.Ref{URI: "https://models.example.org/mozart/1"})
package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/egress"
)

// maxRedirects bounds how often a request is sent on.
const maxRedirects = 5

// Store is the remote store of plain HTTP. Its connections are kept for the
// next artifact.
type Store struct {
	hosts       egress.Hosts
	credentials func() (Credentials, error)
	client      *http.Client
}

var _ store.Remote = (*Store)(nil)

// New returns the store. The credentials are asked for whenever an artifact is
// opened; nil is none.
func New(hosts egress.Hosts, credentials func() (Credentials, error)) *Store {
	if credentials == nil {
		credentials = func() (Credentials, error) { return nil, nil }
	}
	return &Store{hosts, credentials, &http.Client{Transport: hosts.Transport(), CheckRedirect: checkRedirect}}
}

// checkRedirect lets a server send a request on, but neither a credential nor
// the address it came from, whose query may be one.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first, last := via[0].URL, via[len(via)-1].URL
	next.Header.Del("Referer")
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("sent on more than %d times", maxRedirects)
	case next.URL.Scheme != "https" && next.URL.Scheme != "http":
		return fmt.Errorf("sent on to an address of scheme %q", next.URL.Scheme)
	case last.Scheme == "https" && next.URL.Scheme == "http":
		return errors.New("sent on from https to http, where anybody on the way could change the answer")
	}
	if next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		next.Header.Del("Authorization")
	}
	// Go makes a header of a name and password in an address.
	next.URL.User = nil
	return nil
}

// Open takes the reference apart and looks for the host's credentials. Whether
// the artifact is there shows when it is read.
func (s *Store) Open(_ context.Context, ref store.Ref) (store.Origin, error) {
	u, err := url.Parse(ref.URI)
	if err != nil {
		return nil, store.Permanent(fmt.Errorf("reference: %w", store.WithoutURL(err)))
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	o := &origin{store: s, base: u, whole: u, shown: shown.String(), tags: map[string]string{}}
	switch {
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, store.Permanent(fmt.Errorf("%s: want https://HOST/PATH", o.shown))
	case u.User != nil:
		return nil, store.Permanent(fmt.Errorf("%s: names a user: credentials come from the environment, not from a document", o.shown))
	case u.Fragment != "":
		return nil, store.Permanent(fmt.Errorf("%s: a # is written %%23", o.shown))
	}
	known, err := s.credentials()
	if err != nil {
		return nil, err
	}
	o.authorization = known.authorization(u)
	if o.authorization != "" && u.Scheme == "http" && !s.hosts.Named(u.Hostname()) {
		return nil, store.Permanent(fmt.Errorf("%s: credentials are sent over http only to hosts that --artifact-hosts names: use https", o.shown))
	}
	if strings.EqualFold(path.Ext(u.Path), ".onnx") {
		o.only = path.Base(u.Path)
	}
	return o, nil
}
