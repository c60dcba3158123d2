package dvc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/segue-serving/segue/loader/store"
)

// Options say how repositories and what they name are reached.
type Options struct {
	// Transport makes requests to Git servers; it decides which hosts may be
	// asked. Nil refuses repositories of other machines.
	Transport http.RoundTripper
	// Credentials returns the name and password for a Git server's host, empty
	// for none; nil knows none.
	Credentials func(host string) (username, password string, err error)
	// Remote returns the store of a bucket's scheme (s3, gs); nil for none.
	Remote func(scheme string) store.Remote
	// TempDir is where a repository lies while it is read; empty is the system's.
	TempDir string
}

// Repositories reads artifacts by dvc: references. It is safe for concurrent
// use.
type Repositories struct{ options Options }

var _ store.Remote = (*Repositories)(nil)

// New prepares access. It does not connect.
func New(o Options) *Repositories {
	if o.Credentials == nil {
		o.Credentials = func(string) (string, string, error) { return "", "", nil }
	}
	if o.Remote == nil {
		o.Remote = func(string) store.Remote { return nil }
	}
	return &Repositories{options: o}
}

// lookTime bounds finding an artifact: the commit, what it names, and the list
// of a folder's files.
const lookTime = 5 * time.Minute

// Open finds an artifact. A branch or tag is resolved here, once.
func (d *Repositories) Open(ctx context.Context, ref store.Ref) (store.Origin, error) {
	r, err := ParseReference(ref.URI)
	if err != nil {
		return nil, store.Permanent(fmt.Errorf("%s: %w", ref.URI, err))
	}
	if r.Local() && !filepath.IsAbs(r.Repository) {
		r.Repository = filepath.Join(ref.Base, filepath.FromSlash(r.Repository))
	}
	origin, err := d.open(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref.URI, err)
	}
	return origin, nil
}

func (d *Repositories) open(ctx context.Context, r Reference) (_ *origin, err error) {
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	commit, err := d.commit(looking, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, commit.close()) }()
	out, below, err := commit.find(r.Path)
	if err != nil {
		return nil, err
	}
	remotes, err := commit.remotes()
	if err != nil {
		return nil, err
	}
	// The context of a bucket may have to live as long as the origin.
	objects, err := d.objects(ctx, r, remotes, out.Remote)
	if err != nil {
		return nil, err
	}
	o := &origin{objects: objects, files: map[string]tracked{}, partial: map[string]*progress{}}
	if err := o.fill(looking, out, below); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// fill lists the artifact's files: those of a tracked folder, or the one file.
func (o *origin) fill(ctx context.Context, out output, below string) error {
	if !out.isFolder() {
		if !strings.EqualFold(path.Ext(out.Path), ".onnx") {
			return store.Permanent(fmt.Errorf("%s is neither a folder nor an .onnx file", out.Path))
		}
		o.files["model.onnx"] = tracked{hash: out.MD5, size: out.size()}
		return nil
	}
	listed, err := o.folder(ctx, out.MD5)
	if err != nil {
		return err
	}
	for _, f := range listed {
		name, inside := strings.CutPrefix(f.Path, below+"/")
		switch {
		case below == "":
			o.files[f.Path] = tracked{hash: f.MD5, size: -1}
		case inside:
			o.files[name] = tracked{hash: f.MD5, size: -1}
		case f.Path == below && strings.EqualFold(path.Ext(below), ".onnx"):
			o.files["model.onnx"] = tracked{hash: f.MD5, size: -1}
		}
	}
	if len(o.files) == 0 {
		return fmt.Errorf("%s: %w", below, errNotTracked)
	}
	return nil
}
