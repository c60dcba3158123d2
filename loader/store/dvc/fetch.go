package dvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/segue-serving/segue/loader/store"
)

// maxRepository bounds what is transferred of a repository: one commit's code,
// since data and models lie elsewhere.
const maxRepository = 512 << 20

// fetch transfers one commit into a temporary folder, which goes when the commit
// is closed.
func (d *Repositories) fetch(ctx context.Context, r Reference) (_ *commit, err error) {
	if d.options.Transport == nil {
		return nil, store.Permanent(errors.New("repositories of other machines are not read here"))
	}
	dir, err := os.MkdirTemp(d.options.TempDir, "dvc-*")
	if err != nil {
		return nil, fmt.Errorf("a place for the repository: %w", plain(err))
	}
	remove := func() error { return os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	session, err := d.session(r.Repository)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	advertised, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, meaning(err)
	}
	hash, err := wanted(advertised, r.Revision)
	if err != nil {
		return nil, err
	}
	storage := filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRU(8*cache.MiByte))
	if err := download(ctx, session, advertised, hash, storage); err != nil {
		return nil, errors.Join(meaning(err), storage.Close())
	}
	closing := func() error { return errors.Join(storage.Close(), remove()) }
	found, err := commitOf(storage, hash)
	if err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	return treeOf(found, closing)
}

// session prepares requests to a Git server.
func (d *Repositories) session(repository string) (transport.UploadPackSession, error) {
	endpoint, err := transport.NewEndpoint(repository)
	if err != nil {
		return nil, store.Permanent(store.WithoutURL(err))
	}
	var auth transport.AuthMethod
	username, password, err := d.options.Credentials(endpoint.Host)
	if err != nil {
		return nil, err
	}
	if username != "" || password != "" {
		auth = &githttp.BasicAuth{Username: username, Password: password}
	}
	client := githttp.NewClient(&http.Client{Transport: &bounded{d.options.Transport, maxRepository}})
	return client.NewUploadPackSession(endpoint, auth)
}

// wanted finds the revision among what a server has: a tag, a branch, HEAD or
// the whole hash of a commit.
func wanted(advertised *packp.AdvRefs, revision string) (plumbing.Hash, error) {
	for _, name := range []string{"refs/tags/" + revision, "refs/heads/" + revision, revision} {
		if hash, ok := advertised.Peeled[name]; ok {
			return hash, nil
		}
		if hash, ok := advertised.References[name]; ok {
			return hash, nil
		}
	}
	switch {
	case revision == "HEAD" && advertised.Head != nil:
		return *advertised.Head, nil
	case plumbing.IsHash(revision):
		return plumbing.NewHash(revision), nil
	}
	return plumbing.ZeroHash, fmt.Errorf("%w: a commit is named by its whole hash", errNoRevision)
}

// download transfers one commit without its history where the server can leave
// that out.
func download(ctx context.Context, session transport.UploadPackSession, advertised *packp.AdvRefs, hash plumbing.Hash, storage *filesystem.Storage) error {
	request := packp.NewUploadPackRequestFromCapabilities(advertised.Capabilities)
	request.Wants = []plumbing.Hash{hash}
	request.Capabilities.Delete(capability.ThinPack)
	if advertised.Capabilities.Supports(capability.Shallow) {
		request.Depth = packp.DepthCommits(1)
		if err := request.Capabilities.Set(capability.Shallow); err != nil {
			return err
		}
	}
	response, err := session.UploadPack(ctx, request)
	if err != nil {
		return err
	}
	defer response.Close()
	var pack io.Reader = response
	switch {
	case request.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, response)
	case request.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, response)
	}
	return packfile.UpdateObjectStorage(storage, pack)
}

// commitOf returns a commit, or the one that a tag names.
func commitOf(storage *filesystem.Storage, hash plumbing.Hash) (*object.Commit, error) {
	if tag, err := object.GetTag(storage, hash); err == nil {
		return tag.Commit()
	}
	found, err := object.GetCommit(storage, hash)
	if err != nil {
		return nil, errNoRevision
	}
	return found, nil
}

// meaning puts an error of the transfer into this project's words.
func meaning(err error) error {
	switch {
	case store.IsPermanent(err), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return store.WithoutURL(err)
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return errors.New("the Git server wants other credentials for this repository, or there is none: see the netrc file")
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("the Git server has no such repository, or not for these credentials (%w)", os.ErrNotExist)
	case errors.Is(err, transport.ErrEmptyRemoteRepository), strings.Contains(err.Error(), "not our ref"):
		return errNoRevision
	}
	return store.Unreachable(fmt.Errorf("fetch from the Git server: %w", store.WithoutURL(err)))
}

// bounded ends answers that are too large.
type bounded struct {
	next http.RoundTripper
	most int64
}

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(r)
	if err == nil {
		response.Body = &boundedBody{response.Body, b.most}
	}
	return response, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, store.Permanent(fmt.Errorf("the commit's files in Git are more than %d MiB", maxRepository>>20))
	}
	return n, err
}
