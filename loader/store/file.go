package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is the store of artifacts that lie on this machine: file:PATH. It
// serves them in place, so fetching copies nothing and takes no room. A path
// is taken as written, without percent-decoding; file:///PATH is the same as
// file:/PATH.
type File struct{}

var _ Store = File{}

// Fetch finds the folder or .onnx file. It must be there and readable.
func (File) Fetch(ctx context.Context, ref Ref, _ Progress) (path string, release func(), err error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	path, err = place(ref)
	if err != nil {
		return "", nil, Permanent(fmt.Errorf("%s: %w", ref.URI, err))
	}
	// Opened and not only looked up, so that missing rights show here.
	file, err := os.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", ref.URI, plain(err))
	}
	if err := file.Close(); err != nil {
		return "", nil, fmt.Errorf("%s: %w", ref.URI, plain(err))
	}
	return path, func() {}, nil
}

// place turns a file reference into an absolute path. A relative one counts from
// its base, or from the working directory where it has none.
func place(ref Ref) (string, error) {
	_, rest, err := SplitURI(ref.URI)
	if err != nil {
		return "", err
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		host, slashed, _ := strings.Cut(after, "/")
		if host != "" && host != "localhost" {
			return "", fmt.Errorf("names the machine %q; a file lies on this one: write file:/PATH or file:PATH", host)
		}
		rest = "/" + slashed
	}
	if rest == "" || rest == "/" || strings.ContainsRune(rest, 0) {
		return "", errors.New("names no folder")
	}
	path := filepath.FromSlash(rest)
	if !filepath.IsAbs(path) {
		path = filepath.Join(ref.Base, path)
	}
	path, err = filepath.Abs(path)
	return path, plain(err)
}

// plain drops the full path from a file system's error: the operator's own
// words stand before it.
func plain(err error) error {
	var pathError *fs.PathError
	if !errors.As(err, &pathError) {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errNotThere
	}
	return pathError.Err
}

// errNotThere reads better than the system's message and stays recognisable.
var errNotThere = fmt.Errorf("there is no such folder or file (%w)", fs.ErrNotExist)
