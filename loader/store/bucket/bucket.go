// Package bucket is the remote store of buckets: s3:, gs: and azblob:. An
// artifact is what lies below a prefix, or one .onnx object.
//
//	s3://BUCKET/PREFIX?region=R&endpoint=URL&use_path_style=true&profile=NAME&anonymous=true
//	gs://BUCKET/PREFIX?anonymous=true
//	azblob://CONTAINER/PREFIX?storage_account=NAME
//
// Credentials are those that the makers' own tools find in the environment and
// in files (README.md of loader/store lists them); they are looked for again
// whenever an artifact is opened. They never stand in a reference.
//
// The package promises that what is pushed has its manifest written last and
// only where none is, and that an interrupted push is no artifact. It never
// deletes one.
//
//	remote := bucket.S3(hosts)
//	origin, err := remote.Open(ctx, store.Ref{URI: "s3://models/mozart/1?region=eu-west-1"})
package bucket

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"gocloud.dev/blob"

	"github.com/segue-serving/segue/loader/store"
)

// Store is the remote store of one kind of bucket.
type Store struct {
	scheme string
	// parameters are those that a reference may have.
	parameters []string
	open       func(ctx context.Context, p place) (*blob.Bucket, error)
	// detail is the server's own name for an error, and the status of its answer.
	answer func(err error) (answer, bool)
}

var (
	_ store.Remote    = (*Store)(nil)
	_ store.Publisher = (*Store)(nil)
	_ store.Lister    = (*Store)(nil)
)

// place is a reference, taken apart.
type place struct {
	// uri is the reference as it was written.
	uri    string
	bucket string
	// prefix is the key of the artifact's folder, without slashes around it;
	// empty for the whole bucket.
	prefix string
	// only is the name of the object where the artifact is one .onnx file.
	only       string
	parameters url.Values
}

// parse takes a reference apart. What is percent-encoded in it is decoded.
func (s *Store) parse(uri string) (place, error) {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return place{}, store.Permanent(fmt.Errorf("%s: %w", uri, store.WithoutURL(err)))
	case u.Host == "" || u.User != nil || u.Port() != "":
		return place{}, store.Permanent(fmt.Errorf("%s: want %s://BUCKET/PREFIX", u.Redacted(), s.scheme))
	case u.Fragment != "":
		return place{}, store.Permanent(fmt.Errorf("%s: a # is written %%23", uri))
	}
	p := place{uri: uri, bucket: u.Host, prefix: strings.Trim(u.Path, "/")}
	if p.parameters, err = url.ParseQuery(u.RawQuery); err != nil {
		return place{}, store.Permanent(fmt.Errorf("%s: %w", uri, err))
	}
	for name, values := range p.parameters {
		if !slices.Contains(s.parameters, name) || len(values) > 1 {
			return place{}, store.Permanent(fmt.Errorf("%s: parameter %q is unknown or given twice; there are %s", uri, name, strings.Join(s.parameters, ", ")))
		}
	}
	if p.prefix != "" && !fs.ValidPath(p.prefix) {
		return place{}, store.Permanent(fmt.Errorf("%s: %q is not a clean path", uri, p.prefix))
	}
	if strings.EqualFold(path.Ext(p.prefix), ".onnx") && !strings.HasSuffix(u.Path, "/") {
		p.only = path.Base(p.prefix)
		p.prefix = strings.Trim(strings.TrimSuffix(p.prefix, p.only), "/")
	}
	return p, nil
}

// key is that of a name in the artifact's folder.
func (p place) key(name string) string {
	if p.prefix == "" {
		return name
	}
	return p.prefix + "/" + name
}

// folder is what the keys of the artifact's files begin with.
func (p place) folder() string {
	if p.prefix == "" {
		return ""
	}
	return p.prefix + "/"
}

// Open finds the bucket. Whether the artifact lies in it shows when it is read.
func (s *Store) Open(ctx context.Context, ref store.Ref) (store.Origin, error) {
	return s.openOrigin(ctx, ref)
}

func (s *Store) openOrigin(ctx context.Context, ref store.Ref) (*origin, error) {
	p, err := s.parse(ref.URI)
	if err != nil {
		return nil, err
	}
	b, err := s.open(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.uri, err)
	}
	return &origin{store: s, place: p, bucket: b, read: map[string]identity{}}, nil
}
