package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// Push writes the files as layers, the artifact's own manifest as the last of
// them, then the registry's manifest and the tag.
func (s *Store) Push(ctx context.Context, ref store.Ref, dir, wanted string, progress store.Progress) error {
	repo, err := s.connect(ref.URI)
	if err != nil {
		return err
	}
	tag := repo.Reference.Reference
	if tag == "" || repo.Reference.ValidateReferenceAsDigest() == nil {
		return store.Permanent(fmt.Errorf("%s: want a tag to push to: oci:REGISTRY/REPOSITORY:TAG", ref.URI))
	}
	contents, err := store.OpenContents(dir, wanted)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	defer contents.Close()
	if there, err := repo.sameThere(ctx, tag, wanted); there || err != nil {
		return err
	}
	image := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: ArtifactType, Config: ocispec.DescriptorEmptyJSON, Annotations: annotations(contents, tag),
	}
	if err := repo.blob(ctx, "configuration", image.Config, bytes.NewReader(image.Config.Data), nil); err != nil {
		return err
	}
	image.Config.Data = nil
	counted := &counter{total: contents.Total(), progress: progress}
	for _, f := range contents.Files {
		layer := ocispec.Descriptor{
			MediaType: mediaType(f.Path), Digest: digestOf(f.SHA256), Size: f.Size,
			Annotations: map[string]string{ocispec.AnnotationTitle: f.Path},
		}
		file, err := contents.Open(f)
		if err != nil {
			return err
		}
		err = errors.Join(repo.blob(ctx, f.Path, layer, file, counted), file.Close())
		if err != nil {
			return err
		}
		image.Layers = append(image.Layers, layer)
	}
	own := ocispec.Descriptor{
		MediaType: mediaType(artifact.ManifestFile), Digest: digest.Digest(contents.Digest), Size: int64(len(contents.ManifestBody())),
		Annotations: map[string]string{ocispec.AnnotationTitle: artifact.ManifestFile},
	}
	if err := repo.blob(ctx, artifact.ManifestFile, own, bytes.NewReader(contents.ManifestBody()), counted); err != nil {
		return err
	}
	image.Layers = append(image.Layers, own)
	// Somebody may have pushed while the layers went.
	if there, err := repo.sameThere(ctx, tag, wanted); there || err != nil {
		return err
	}
	body, err := json.Marshal(image)
	if err != nil {
		return err
	}
	descriptor := ocispec.Descriptor{MediaType: image.MediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	if err := repo.PushReference(ctx, descriptor, bytes.NewReader(body), tag); err != nil {
		return repo.fault("write tag "+tag, err)
	}
	return nil
}

// sameThere reports whether the tag has an artifact of this digest already;
// with another it is ErrExists.
func (r *repository) sameThere(ctx context.Context, tag, wanted string) (bool, error) {
	there, err := r.open(ctx, tag)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case store.IsPermanent(err):
		return false, fmt.Errorf("%s: %w: it is no artifact of segue", r.uri, store.ErrExists)
	case err != nil:
		return false, err
	}
	if err := store.SameDigest(there.files[artifact.ManifestFile].Digest.String(), wanted); err != nil {
		return false, fmt.Errorf("%s: %w", r.uri, err)
	}
	return true, nil
}

// blob writes one blob, unless the repository has it.
func (r *repository) blob(ctx context.Context, name string, blob ocispec.Descriptor, from io.Reader, counted *counter) error {
	exists, err := r.Blobs().Exists(ctx, blob)
	if err != nil {
		return r.fault("look for "+name, err)
	}
	if exists {
		// What is there has this digest; what is here must have it too.
		_, err := io.Copy(io.Discard, from)
		counted.add(blob.Size)
		return err
	}
	source := &counting{counter: counted, r: from}
	if err := r.Blobs().Push(ctx, blob, source); err != nil {
		if source.err != nil {
			return source.err
		}
		return r.fault("write "+name, err)
	}
	return nil
}

// annotations say in the registry what the artifact is.
func annotations(c *store.Contents, tag string) map[string]string {
	all := map[string]string{ocispec.AnnotationVersion: tag}
	if c.Manifest.Model != "" {
		all[ocispec.AnnotationTitle] = c.Manifest.Model
	}
	if p := c.Manifest.Provenance; p != nil && p.Commit != "" {
		all[ocispec.AnnotationRevision] = p.Commit
	}
	return all
}

func mediaType(name string) string {
	if strings.EqualFold(path.Ext(name), ".json") {
		return "application/json"
	}
	return "application/octet-stream"
}

// counter tells a push's progress over all files. A nil one tells nothing.
type counter struct {
	done, total int64
	progress    store.Progress
}

func (c *counter) add(n int64) {
	if c == nil || n == 0 {
		return
	}
	c.done += n
	if c.progress != nil {
		c.progress(c.done, c.total)
	}
}

// counting counts what is read, and tells an error of the folder from one of
// the registry.
type counting struct {
	*counter
	r   io.Reader
	err error
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

func digestOf(hexadecimal string) digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, hexadecimal)
}
