package dvc

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/segue-serving/segue/loader/store"
)

// objectsFolder is where a remote of DVC 3 keeps files by their MD5.
const objectsFolder = "files/md5"

// objects opens the remote that a commit names, as an origin whose files are
// DVC's objects.
func (d *Repositories) objects(ctx context.Context, r Reference, remotes remotes, name string) (store.Origin, error) {
	address, err := remotes.address(name)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(address, "://") {
		if !r.Local() {
			return nil, store.Permanent(fmt.Errorf("the repository says that its files lie in a folder of this machine: that counts only for a repository that does, too"))
		}
		if !filepath.IsAbs(address) {
			// Relative to the file that says so.
			address = filepath.Join(r.Repository, filepath.Dir(configFile), filepath.FromSlash(address))
		}
		return folder{filepath.Join(address, filepath.FromSlash(objectsFolder))}, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, store.Permanent(fmt.Errorf("%s: the address of the remote is none", configFile))
	}
	remote := d.options.Remote(u.Scheme)
	if (u.Scheme != "s3" && u.Scheme != "gs") || remote == nil {
		return nil, store.Permanent(fmt.Errorf("the remote is of the kind %s:, and files are fetched from s3:, gs: and, for a repository of this machine, a folder", u.Scheme))
	}
	at := url.URL{Scheme: u.Scheme, Host: u.Host, Path: path.Join("/", u.Path, objectsFolder)}
	return remote.Open(ctx, store.Ref{URI: at.String()})
}

// folder is a local remote.
type folder struct{ path string }

func (f folder) Files(context.Context, int) ([]store.RemoteFile, error) {
	return nil, fmt.Errorf("list objects: %w", errUnlisted)
}

var errUnlisted = store.Permanent(fmt.Errorf("objects are asked for by their hash"))

func (f folder) Read(_ context.Context, name string, _ int64) (store.Body, error) {
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return store.Body{}, notThere(err)
	}
	defer root.Close()
	file, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return store.Body{}, notThere(err)
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return store.Body{}, fmt.Errorf("%s: not a regular file", name)
	}
	return store.Body{ReadCloser: file, Size: info.Size()}, nil
}

func (f folder) Close() error { return nil }
