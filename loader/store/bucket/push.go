package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// Push writes the files, and then the manifest where none lies yet, so that of
// two that push to the same place at once one is told ErrExists. Until then an
// object beside the files says that they are no artifact.
func (s *Store) Push(ctx context.Context, ref store.Ref, dir, digest string, progress store.Progress) (err error) {
	o, err := s.openOrigin(ctx, ref)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	if o.place.only != "" || o.place.prefix == "" {
		return store.Permanent(fmt.Errorf("%s: want the folder of one version to push to: %s://BUCKET/PREFIX", o.place.uri, s.scheme))
	}
	contents, err := store.OpenContents(dir, digest)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	defer contents.Close()
	there, err := o.readManifest(ctx)
	if err == nil {
		return o.same(there, digest)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return o.push(ctx, contents, progress)
}

// same says whether a manifest that is there already has a digest.
func (o *origin) same(there []byte, digest string) error {
	if err := store.SameDigest(artifact.Digest(there), digest); err != nil {
		return fmt.Errorf("%s: %w", o.place.uri, err)
	}
	return nil
}

func (o *origin) push(ctx context.Context, contents *store.Contents, progress store.Progress) error {
	if err := o.write(ctx, store.Unfinished, bytes.NewReader([]byte(contents.Digest+"\n")), nil); err != nil {
		return err
	}
	counted := &counter{total: contents.Total(), progress: progress}
	for _, f := range contents.Files {
		file, err := contents.Open(f)
		if err != nil {
			return err
		}
		err = errors.Join(o.write(ctx, f.Path, counted.over(file), nil), file.Close())
		if err != nil {
			return err
		}
	}
	if err := o.stillOurs(ctx, contents.Digest); err != nil {
		return err
	}
	manifest := counted.over(bytes.NewReader(contents.ManifestBody()))
	err := o.write(ctx, artifact.ManifestFile, manifest, &blob.WriterOptions{IfNotExist: true, ContentType: "application/json"})
	if err != nil && lost(err) {
		there, readErr := o.readManifest(ctx)
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		err = o.same(there, contents.Digest)
	}
	if err != nil {
		return err
	}
	// With a manifest the artifact is whole, whatever lies beside it: rights to
	// write may come without those to delete.
	_ = o.bucket.Delete(ctx, o.place.key(store.Unfinished))
	return nil
}

// stillOurs reads what the push began with: somebody who pushes another artifact
// to the same place has written files between.
func (o *origin) stillOurs(ctx context.Context, digest string) error {
	body, err := o.Read(ctx, store.Unfinished, 0)
	if err != nil {
		return err
	}
	there, err := store.ReadManifest(body)
	if err == nil && string(there) != digest+"\n" {
		err = fmt.Errorf("%s: somebody else pushes another artifact to it at this time: %w", o.place.uri, store.ErrExists)
	}
	return err
}

// write writes one object whole or not at all.
func (o *origin) write(ctx context.Context, name string, from io.Reader, options *blob.WriterOptions) error {
	if options == nil {
		options = &blob.WriterOptions{}
	}
	if options.ContentType == "" {
		options.ContentType = "application/octet-stream"
	}
	writing, abandon := context.WithCancel(ctx)
	defer abandon()
	source := &abandoning{r: from, abandon: abandon}
	err := o.bucket.Upload(writing, o.place.key(name), source, options)
	if source.err != nil {
		return source.err
	}
	if err != nil {
		return o.writeFault(name, err)
	}
	return nil
}

// abandoning ends the write where its source fails, since some clients make an
// object of what they had read till then. It tells the two errors apart.
type abandoning struct {
	r       io.Reader
	abandon context.CancelFunc
	err     error
}

func (a *abandoning) Read(b []byte) (int, error) {
	n, err := a.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		a.err = err
		a.abandon()
	}
	return n, err
}

// lostError says that somebody else wrote the object first.
type lostError struct{ error }

func lost(err error) bool {
	var l lostError
	return errors.As(err, &l)
}

func (o *origin) writeFault(name string, err error) error {
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return lostError{o.fault("write "+name, err)}
	}
	return o.fault("write "+name, err)
}

// counter tells a push's progress over all files.
type counter struct {
	done, total int64
	progress    store.Progress
}

func (c *counter) over(r io.Reader) io.Reader { return &counting{c, r} }

type counting struct {
	*counter
	r io.Reader
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.done += int64(n)
	if c.progress != nil && n > 0 {
		c.progress(c.done, c.total)
	}
	return n, err
}
