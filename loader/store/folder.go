package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/segue-serving/segue/loader/artifact"
)

var (
	_ Remote    = File{}
	_ Publisher = File{}
	_ Lister    = File{}
)

// Open reads the folder as stores of other machines are read, for copying from
// it. Links out of it are not followed.
func (File) Open(ctx context.Context, ref Ref) (Origin, error) {
	path, _, err := File{}.Fetch(ctx, ref, nil)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref.URI, plain(err))
	}
	o := &folderOrigin{uri: ref.URI}
	if !info.IsDir() {
		path, o.only = filepath.Dir(path), filepath.Base(path)
	}
	if o.root, err = os.OpenRoot(path); err != nil {
		return nil, fmt.Errorf("%s: %w", ref.URI, plain(err))
	}
	return o, nil
}

// folderOrigin is one artifact in a folder of this machine.
type folderOrigin struct {
	uri  string
	root *os.Root
	// only is the file's name where the artifact is one file.
	only string
}

func (o *folderOrigin) Files(ctx context.Context, most int) ([]RemoteFile, error) {
	if o.only != "" {
		return []RemoteFile{{Name: o.only, Size: -1}}, nil
	}
	var files []RemoteFile
	err := fs.WalkDir(o.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return errors.Join(err, ctx.Err())
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if len(files) == most {
			return Permanent(fmt.Errorf("more than %d files", most))
		}
		files = append(files, RemoteFile{Name: name, Size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.uri, plain(err))
	}
	return files, nil
}

func (o *folderOrigin) Read(ctx context.Context, name string, offset int64) (Body, error) {
	body, err := o.read(name, offset)
	if err := errors.Join(ctx.Err(), err); err != nil {
		return Body{}, fmt.Errorf("%s: %s: %w", o.uri, name, err)
	}
	return body, nil
}

func (o *folderOrigin) read(name string, offset int64) (Body, error) {
	if o.only != "" && name != o.only {
		return Body{}, errNotThere
	}
	// An ordinary open of a named pipe would wait for a writer.
	file, err := o.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Body{}, plain(err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotThere
	}
	if err == nil {
		_, err = file.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return Body{}, errors.Join(plain(err), file.Close())
	}
	return Body{ReadCloser: file, Offset: offset, Size: info.Size()}, nil
}

func (o *folderOrigin) Close() error { return o.root.Close() }

// Push copies the folder beside its place and renames it there in one step.
func (File) Push(ctx context.Context, ref Ref, dir, digest string, progress Progress) error {
	path, err := place(ref)
	if err != nil {
		return Permanent(fmt.Errorf("%s: %w", ref.URI, err))
	}
	contents, err := OpenContents(dir, digest)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	defer contents.Close()
	if there, err := os.ReadFile(filepath.Join(path, artifact.ManifestFile)); err == nil {
		if err := SameDigest(artifact.Digest(there), digest); err != nil {
			return fmt.Errorf("%s: %w", ref.URI, err)
		}
		return nil
	}
	if err := contents.copyTo(ctx, path, progress); err != nil {
		return fmt.Errorf("%s: %w", ref.URI, err)
	}
	return nil
}

// copyTo makes a folder of the contents, whole or not at all.
func (c *Contents) copyTo(ctx context.Context, path string, progress Progress) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%w: it has no manifest", ErrExists)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return plain(err)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(path), ".push-*")
	if err != nil {
		return plain(err)
	}
	defer func() { err = errors.Join(err, plain(os.RemoveAll(temporary))) }()
	done := int64(0)
	write := func(name string, from io.Reader) error {
		to := filepath.Join(temporary, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return plain(err)
		}
		file, err := os.Create(to)
		if err != nil {
			return plain(err)
		}
		_, err = io.Copy(file, readerFunc(func(b []byte) (int, error) {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			n, err := from.Read(b)
			if done += int64(n); progress != nil && n > 0 {
				progress(done, c.Total())
			}
			return n, err
		}))
		return errors.Join(err, plain(file.Sync()), file.Close())
	}
	for _, f := range c.Files {
		from, err := c.Open(f)
		if err != nil {
			return err
		}
		if err := errors.Join(write(f.Path, from), from.Close()); err != nil {
			return err
		}
	}
	if err := write(artifact.ManifestFile, strings.NewReader(string(c.body))); err != nil {
		return err
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return plain(err)
	}
	err = os.Rename(temporary, path)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: somebody else pushed at this time", ErrExists)
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		err = link.Err
	}
	return err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// List finds every folder with a manifest at or below a path.
func (File) List(ctx context.Context, ref Ref) ([]Listed, error) {
	path, err := place(ref)
	if err != nil {
		return nil, Permanent(fmt.Errorf("%s: %w", ref.URI, err))
	}
	found := []Listed{}
	err = filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if entry.IsDir() && at != path && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if entry.Name() != artifact.ManifestFile || !entry.Type().IsRegular() {
			return nil
		}
		one, err := listedFolder(filepath.Dir(at))
		found = append(found, one)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref.URI, plain(err))
	}
	slices.SortFunc(found, func(a, b Listed) int { return cmp.Compare(a.URI, b.URI) })
	return found, nil
}

func listedFolder(dir string) (Listed, error) {
	manifest := filepath.Join(dir, artifact.ManifestFile)
	info, err := os.Stat(manifest)
	if err != nil {
		return Listed{}, err
	}
	body, err := os.ReadFile(manifest)
	if err != nil {
		return Listed{}, err
	}
	one := Listed{URI: "file:" + filepath.ToSlash(dir), Digest: artifact.Digest(body), Size: int64(len(body)), Changed: info.ModTime().UTC()}
	m, err := artifact.Parse(body)
	if err != nil {
		one.Size = -1 // somebody else's manifest.json, or a broken one
		return one, nil
	}
	for _, f := range m.Files {
		one.Size += f.Size
	}
	return one, nil
}
