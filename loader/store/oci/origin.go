package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/segue-serving/segue/loader/store"
)

// maxManifestBytes bounds the registry's manifest, as registries do themselves.
const maxManifestBytes = 4 << 20

// origin is one artifact in a registry: the files of the manifest that its
// reference stood for when it was opened.
type origin struct {
	*repository
	files map[string]ocispec.Descriptor
}

// Open resolves the tag and reads the list of layers.
func (s *Store) Open(ctx context.Context, ref store.Ref) (store.Origin, error) {
	repo, err := s.connect(ref.URI)
	if err != nil {
		return nil, err
	}
	if repo.Reference.Reference == "" {
		return nil, store.Permanent(fmt.Errorf("%s: names no version: add :TAG or @sha256:…", ref.URI))
	}
	return repo.open(ctx, repo.Reference.Reference)
}

// open reads what a tag or digest stands for.
func (r *repository) open(ctx context.Context, reference string) (*origin, error) {
	descriptor, err := r.Resolve(ctx, reference)
	if err != nil {
		return nil, r.fault("resolve "+reference, err)
	}
	if descriptor.MediaType != ocispec.MediaTypeImageManifest || descriptor.Size > maxManifestBytes {
		return nil, store.Permanent(fmt.Errorf("%s: is a %s of %d bytes, and no image manifest of files", r.uri, descriptor.MediaType, descriptor.Size))
	}
	body, err := content.FetchAll(ctx, r, descriptor)
	if err != nil {
		return nil, r.fault("read its manifest", err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(body, &manifest); err != nil {
		return nil, store.Permanent(fmt.Errorf("%s: its manifest is no JSON of one", r.uri))
	}
	o := &origin{r, map[string]ocispec.Descriptor{}}
	for _, layer := range manifest.Layers {
		name := layer.Annotations[ocispec.AnnotationTitle]
		if name == "" {
			continue // not one of the files
		}
		if _, twice := o.files[name]; twice || layer.Size < 0 || layer.Digest.Validate() != nil {
			return nil, store.Permanent(fmt.Errorf("%s: the file %q is listed twice, or without a size and a digest", r.uri, name))
		}
		o.files[name] = layer
	}
	return o, nil
}

// Files lists the layers that have names.
func (o *origin) Files(_ context.Context, most int) ([]store.RemoteFile, error) {
	if len(o.files) > most {
		return nil, store.Permanent(fmt.Errorf("%s: %d files, the most is %d", o.uri, len(o.files), most))
	}
	files := make([]store.RemoteFile, 0, len(o.files))
	for name, layer := range o.files {
		files = append(files, store.RemoteFile{Name: name, Size: layer.Size})
	}
	return files, nil
}

// Read opens a layer. A registry that gives no ranges begins at the file's
// beginning.
func (o *origin) Read(ctx context.Context, name string, offset int64) (store.Body, error) {
	layer, ok := o.files[name]
	if !ok {
		return store.Body{}, fmt.Errorf("%s: %s: there is no such file (%w)", o.uri, name, fs.ErrNotExist)
	}
	blob, err := o.Blobs().Fetch(ctx, layer)
	if err != nil {
		return store.Body{}, o.fault(name, err)
	}
	body := store.Body{ReadCloser: &reader{blob, o, name}, Size: layer.Size}
	if seeker, ok := blob.(io.Seeker); ok && offset > 0 && offset < layer.Size {
		if _, err := seeker.Seek(offset, io.SeekStart); err != nil {
			return store.Body{}, errors.Join(o.fault(name, err), blob.Close())
		}
		body.Offset = offset
	}
	return body, nil
}

// reader gives errors in the middle of a file the words that others have.
type reader struct {
	io.ReadCloser
	origin *origin
	name   string
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.origin.fault(r.name, err)
	}
	return n, err
}

// Close has nothing to close: connections are kept for the next artifact.
func (o *origin) Close() error { return nil }
