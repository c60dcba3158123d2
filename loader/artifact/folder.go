package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// folder is an artifact's folder, open. Names are slash-separated and
// relative, and cannot lead out of it, not even by a symbolic link.
type folder struct {
	root *os.Root
	// only is the name of the model where the artifact is one bare file.
	only string
	// progress is told of bytes that were hashed, nil for nobody.
	progress func(bytes int)
}

// openFolder opens the artifact at a path: a folder, or a bare .onnx file.
func openFolder(at string) (*folder, error) {
	info, err := os.Stat(at)
	if err != nil {
		return nil, WithoutPath(err)
	}
	only := ""
	if !info.IsDir() {
		if !strings.EqualFold(filepath.Ext(at), ".onnx") {
			return nil, errors.New("neither a folder nor an .onnx file")
		}
		at, only = filepath.Dir(at), filepath.Base(at)
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return nil, WithoutPath(err)
	}
	return &folder{root: root, only: only}, nil
}

// WithoutPath drops the place on this machine from a file system's error, for
// what is shown elsewhere. Any other error is returned as it is.
func WithoutPath(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	var linkError *os.LinkError
	if errors.As(err, &linkError) {
		return linkError.Err
	}
	return err
}

// open opens a regular file. A named pipe would block an ordinary open until
// somebody writes to it.
func (f *folder) open(name string) (*os.File, fs.FileInfo, error) {
	file, err := f.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, WithoutPath(err))
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		file.Close()
		return nil, nil, fmt.Errorf("%s: %w", name, WithoutPath(err))
	}
	return file, info, nil
}

// read returns a small file whole.
func (f *folder) read(name string, limit int64) ([]byte, fs.FileInfo, error) {
	file, info, err := f.open(name)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	body, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, WithoutPath(err))
	}
	if int64(len(body)) > limit {
		return nil, nil, fmt.Errorf("%s: more than the %d bytes allowed", name, limit)
	}
	return body, info, nil
}

// describe hashes a file.
func (f *folder) describe(ctx context.Context, name string) (File, fs.FileInfo, error) {
	file, info, err := f.open(name)
	if err != nil {
		return File{}, nil, err
	}
	defer file.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, contextReader{ctx, file, f.progress})
	if err != nil {
		return File{}, nil, fmt.Errorf("%s: %w", name, WithoutPath(err))
	}
	return File{Path: name, Size: size, SHA256: hex.EncodeToString(hash.Sum(nil))}, info, nil
}

// graph reads a model of the folder.
func (f *folder) graph(name string) (*Graph, error) {
	file, info, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	g, err := ReadONNX(file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return g, nil
}

// contextReader ends a long copy when its context does, and says how far it is.
type contextReader struct {
	ctx context.Context
	io.Reader
	progress func(bytes int)
}

func (r contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.Reader.Read(b)
	if r.progress != nil {
		r.progress(n)
	}
	return n, err
}

// checkExternal holds the files that a model names against what the folder
// has: each must be listed, large enough, and a file of its own. An engine
// refuses a symbolic link as external data but follows a hard link, which
// could be one to a file of the machine that the model then gives away in its
// answers. Neither may lie on its way, not even a link that stays inside. Listed
// files that no tensor names may be links inside the folder, as a ConfigMap's
// are, or have other links: caches that store by content make them.
func (f *folder) checkExternal(g *Graph, model string, listed map[string]fs.FileInfo) error {
	for _, e := range g.External {
		name := path.Join(path.Dir(model), e.Location)
		info, ok := listed[name]
		if !ok {
			return fmt.Errorf("%s: external data of tensor %q is not listed in the manifest", name, clip(e.Tensor))
		}
		if e.End > info.Size() {
			return fmt.Errorf("%s: external data reaches to byte %d of a file of %d", name, e.End, info.Size())
		}
		if link, err := f.linkOn(name); err != nil {
			return err
		} else if link != "" {
			return fmt.Errorf("%s: external data through the symbolic link %s, want a file of its own", name, link)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
			return fmt.Errorf("%s: external data has %d hard links, want a file of its own", name, stat.Nlink)
		}
	}
	return nil
}

// linkOn returns the first symbolic link among a name and the folders above it,
// empty where there is none.
func (f *folder) linkOn(name string) (string, error) {
	for end := 0; end < len(name); {
		if next := strings.IndexByte(name[end+1:], '/'); next >= 0 {
			end += 1 + next
		} else {
			end = len(name)
		}
		info, err := f.root.Lstat(filepath.FromSlash(name[:end]))
		if err != nil {
			return "", fmt.Errorf("%s: %w", name[:end], WithoutPath(err))
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return name[:end], nil
		}
	}
	return "", nil
}
