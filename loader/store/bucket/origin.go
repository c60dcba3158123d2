package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// origin is one artifact in a bucket.
type origin struct {
	store  *Store
	place  place
	bucket *blob.Bucket
	// read holds what was read, so that a file which is another now is not
	// continued in the middle.
	read map[string]identity
}

type identity struct {
	size    int64
	changed time.Time
}

// Files lists what lies below the prefix. Objects whose names end in a slash
// stand for folders.
func (o *origin) Files(ctx context.Context, most int) ([]store.RemoteFile, error) {
	if o.place.only != "" {
		return []store.RemoteFile{{Name: o.place.only, Size: -1}}, nil
	}
	var files []store.RemoteFile
	it := o.bucket.List(&blob.ListOptions{Prefix: o.place.folder()})
	for {
		object, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, o.fault("list", err)
		}
		name := strings.TrimPrefix(object.Key, o.place.folder())
		switch {
		case name == "" || strings.HasSuffix(name, "/"):
			continue
		case name == store.Unfinished:
			return nil, fmt.Errorf("%s: a push has not written its manifest yet, or was interrupted: push again", o.place.uri)
		case len(files) == most:
			return nil, store.Permanent(fmt.Errorf("%s: there are more than %d files: name the folder of one version", o.place.uri, most))
		}
		files = append(files, store.RemoteFile{Name: name, Size: object.Size})
	}
}

// Read opens an object. One that changed since it was read before begins anew.
func (o *origin) Read(ctx context.Context, name string, offset int64) (store.Body, error) {
	if o.place.only != "" && name != o.place.only {
		return store.Body{}, fmt.Errorf("%s: %s: %w", o.place.uri, name, fs.ErrNotExist)
	}
	reader, err := o.bucket.NewRangeReader(ctx, o.place.key(name), offset, -1, nil)
	if err != nil {
		if a, ok := o.store.answer(err); offset > 0 && ok && a.status == 416 {
			return o.Read(ctx, name, 0)
		}
		return store.Body{}, o.fault(name, err)
	}
	is := identity{reader.Size(), reader.ModTime()}
	if was, before := o.read[name]; before && offset > 0 && (was.size != is.size || !was.changed.Equal(is.changed)) {
		delete(o.read, name)
		if err := reader.Close(); err != nil {
			return store.Body{}, o.fault(name, err)
		}
		return o.Read(ctx, name, 0)
	}
	o.read[name] = is
	return store.Body{ReadCloser: &body{reader, o, name}, Offset: offset, Size: is.size}, nil
}

// body gives errors in the middle of a file the words that others have.
type body struct {
	*blob.Reader
	origin *origin
	name   string
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.origin.fault(b.name, err)
	}
	return n, err
}

// WriteTo hides that of the reader, which bypasses Read.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{b})
}

func (o *origin) Close() error { return o.bucket.Close() }

// readManifest returns the manifest, fs.ErrNotExist where there is none.
func (o *origin) readManifest(ctx context.Context) ([]byte, error) {
	body, err := o.Read(ctx, artifact.ManifestFile, 0)
	if err != nil {
		return nil, err
	}
	return store.ReadManifest(body)
}
