package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/segue-serving/segue/loader/cache"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/remotes"
)

// reference is what a URI of the command line names. A relative path of file:
// counts from the working directory.
func reference(uri, digest string) (store.Ref, error) {
	if _, _, err := store.SplitURI(uri); err != nil {
		return store.Ref{}, usageError{err}
	}
	base, err := os.Getwd()
	return store.Ref{URI: uri, Base: base, Digest: digest}, err
}

// remote returns the store of a reference. The user named the address himself,
// so it may lie anywhere.
func (c *cli) remote(ref store.Ref) (store.Remote, error) {
	scheme, _, err := store.SplitURI(ref.URI)
	if err != nil {
		return nil, err
	}
	if scheme == "file" {
		return store.File{}, nil
	}
	all, err := remotes.Open(egress.Everywhere(), func(name string) string {
		value, _ := c.lookupEnv(name)
		return value
	})
	if err != nil {
		return nil, err
	}
	remote, ok := all.ByScheme[scheme]
	if !ok {
		return nil, usageError{fmt.Errorf("%s: there is no store of scheme %q", store.Shown(ref.URI), scheme)}
	}
	return remote, nil
}

// fetch brings an artifact into a folder of its own, where an interrupted
// transfer is gone on with, and returns its path in there.
func (c *cli) fetch(ctx context.Context, ref store.Ref, into string) (path string, release func(), err error) {
	remote, err := c.remote(ref)
	if err != nil {
		return "", nil, err
	}
	const noLimit = 1 << 62
	kept, err := cache.Open(into, noLimit, cache.Options{})
	if err != nil {
		return "", nil, err
	}
	if kept.Dir() != into {
		return "", nil, fmt.Errorf("%s: cannot be written", filepath.Dir(into))
	}
	meter := c.meter("fetching")
	defer meter.end()
	return kept.Store(remote).Fetch(ctx, ref, meter.reach)
}

// localArtifact makes an artifact readable here that is named by a folder or a
// URI.
func (c *cli) localArtifact(ctx context.Context, name, digest string) (path string, release func(), err error) {
	scheme, _, isURI := strings.Cut(name, ":")
	if _, err := os.Stat(name); err == nil || !isURI || strings.ContainsAny(scheme, `/\.`) {
		return name, func() {}, nil
	}
	ref, err := reference(name, digest)
	if err != nil {
		return "", nil, err
	}
	if strings.EqualFold(scheme, "file") {
		return store.File{}.Fetch(ctx, ref, nil)
	}
	folder, err := os.MkdirTemp("", "seguectl-*")
	if err != nil {
		return "", nil, err
	}
	// A folder left among the temporary files harms nothing.
	remove := func() { _ = os.RemoveAll(folder) }
	path, letGo, err := c.fetch(ctx, ref, filepath.Join(folder, "artifacts"))
	if err != nil {
		remove()
		return "", nil, err
	}
	return path, func() { letGo(); remove() }, nil
}
