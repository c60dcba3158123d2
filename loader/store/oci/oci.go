// Package oci is the remote store of OCI registries: oci:. An artifact lies
// there as ORAS puts it: an image manifest whose layers are the files, each named
// by its annotation org.opencontainers.image.title, so that what `oras push`
// wrote is read, and `oras pull` reads what was pushed.
//
//	oci:REGISTRY/REPOSITORY:TAG
//	oci:REGISTRY/REPOSITORY@sha256:…
//	oci:127.0.0.1:5000/team/mozart:1?plain_http=true
//
// A tag is resolved once, when the artifact is opened. The login is the one that
// `docker login` or `oras login` left (DOCKER_CONFIG, credential helpers too).
//
// The package promises that blobs are written before the manifest that names
// them and the tag last, that a tag which is there is not moved, and that a login
// is sent to no other host. Registries have no conditional writes: of two pushes
// of different artifacts to one tag at the same moment the later one wins.
//
//	remote := oci.New(hosts)
//	origin, err := remote.Open(ctx, store.Ref{URI: "oci:registry.example.org/team/mozart:1"})
package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/egress"
)

// ArtifactType is that of what Push writes.
const ArtifactType = "application/vnd.segue.model.v1"

// Store is the remote store of OCI registries.
type Store struct {
	hosts     egress.Hosts
	transport http.RoundTripper
}

var (
	_ store.Remote    = (*Store)(nil)
	_ store.Publisher = (*Store)(nil)
	_ store.Lister    = (*Store)(nil)
)

// New returns the store.
func New(hosts egress.Hosts) *Store {
	return &Store{hosts, retry.NewTransport(hosts.Transport())}
}

// repository is one repository of a registry, and what a reference says of it.
type repository struct {
	*remote.Repository
	// uri is the reference as it was written.
	uri string
	// parameters follow the reference of a tag of the same repository.
	parameters string
}

// connect takes a reference apart and readies the client for it.
func (s *Store) connect(uri string) (*repository, error) {
	_, rest, err := store.SplitURI(uri)
	if err != nil {
		return nil, err
	}
	name, query, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "?")
	fail := func(format string, args ...any) (*repository, error) {
		return nil, store.Permanent(fmt.Errorf("%s: "+format, append([]any{uri}, args...)...))
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return fail("%w", err)
	}
	for parameter, values := range parameters {
		if parameter != "plain_http" || len(values) > 1 || !slices.Contains([]string{"true", "false"}, values[0]) {
			return fail("parameter %q is unknown, or no plain_http=true", parameter)
		}
	}
	reference, err := registry.ParseReference(name)
	if err != nil {
		return fail("want oci:REGISTRY/REPOSITORY:TAG or oci:REGISTRY/REPOSITORY@sha256:…: %w", err)
	}
	repo := &remote.Repository{Reference: reference, PlainHTTP: parameters.Get("plain_http") == "true"}
	host := reference.Host()
	name, _, _ = strings.Cut(host, ":")
	if repo.PlainHTTP && !s.hosts.Named(name) {
		return fail("http without TLS is for hosts that --artifact-hosts names")
	}
	// Read anew each time, as the files of credentials may have changed.
	logins, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s: read the logins of docker: %w", uri, err)
	}
	repo.Client = &auth.Client{
		Client: &http.Client{Transport: s.transport}, Cache: auth.NewCache(), Credential: credentials.Credential(logins),
	}
	return &repository{repo, uri, suffix(query)}, nil
}

func suffix(query string) string {
	if query == "" {
		return ""
	}
	return "?" + query
}

// fault puts an error of a registry into this project's words.
func (r *repository) fault(what string, err error) error {
	return fmt.Errorf("%s: %s: %w", r.uri, what, meaning(err))
}

func meaning(err error) error {
	var answer *errcode.ErrorResponse
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &answer):
		code := ""
		if len(answer.Errors) > 0 {
			code = answer.Errors[0].Code
		}
		return store.Answered(answer.StatusCode, nil, code)
	case errors.Is(err, errdef.ErrNotFound):
		return store.Answered(http.StatusNotFound, nil, "")
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fmt.Errorf("the registry asks for a login, and there is none for it: use docker login, or set DOCKER_CONFIG (%w)", err)
	case store.IsPermanent(err):
		return err
	case errors.Is(err, errdef.ErrSizeExceedsLimit), errors.Is(err, errdef.ErrUnsupported):
		return store.Permanent(err)
	}
	return store.Unreachable(err)
}
