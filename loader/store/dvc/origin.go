package dvc

import (
	"context"
	"crypto/md5" //nolint:gosec // DVC's own choice; the manifest's SHA-256 is what pins an artifact.
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/segue-serving/segue/loader/store"
)

// tracked is a file by its hash.
type tracked struct {
	hash string
	size int64 // -1 where it is not known
}

// origin is one artifact.
type origin struct {
	objects store.Origin
	files   map[string]tracked
	// partial says how far each file was read, so that a read that goes on where
	// the last one broke off still ends with the whole file's hash.
	partial map[string]*progress
}

// progress is the hash of a file's first bytes.
type progress struct {
	hash hash.Hash
	done int64
}

// place is where an object lies in a remote.
func place(sum string) string { return sum[:2] + "/" + sum[2:] }

// maxListBytes bounds the list of a folder's files.
const maxListBytes = 64 << 20

// listed is a file of a folder.
type listed struct {
	MD5  string `json:"md5"`
	Path string `json:"relpath"`
}

// folder reads the list of a folder's files, by its hash.
func (o *origin) folder(ctx context.Context, sum string) ([]listed, error) {
	body, err := o.objects.Read(ctx, place(sum), 0)
	if err != nil {
		return nil, fmt.Errorf("the list of the folder's files: %w", err)
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxListBytes+1))
	if err != nil {
		return nil, fmt.Errorf("the list of the folder's files: %w", err)
	}
	if len(text) > maxListBytes {
		return nil, store.Permanent(fmt.Errorf("the list of the folder's files has more than %d MiB", maxListBytes>>20))
	}
	if got := md5.Sum(text); hex.EncodeToString(got[:])+folderMark != sum {
		return nil, errDiffers("the list of the folder's files")
	}
	return parseList(text)
}

// parseList reads a folder's list and refuses names that leave the folder.
func parseList(text []byte) ([]listed, error) {
	var files []listed
	if err := json.Unmarshal(text, &files); err != nil {
		return nil, store.Permanent(fmt.Errorf("the list of the folder's files is damaged: %w", err))
	}
	for _, f := range files {
		if !fs.ValidPath(f.Path) || f.Path == "." || strings.Contains(f.Path, `\`) || !md5Form.MatchString(f.MD5) || strings.HasSuffix(f.MD5, folderMark) {
			return nil, store.Permanent(fmt.Errorf("the list of the folder's files has the file %.80q with the hash %.40q", f.Path, f.MD5))
		}
	}
	return files, nil
}

// errDiffers says that a remote holds something else than the commit names. It
// may be pushed again.
func errDiffers(what string) error {
	return fmt.Errorf("%s: what lies in the remote has another hash than the commit names: run dvc push", what)
}

// Files lists the artifact's files by name.
func (o *origin) Files(_ context.Context, most int) ([]store.RemoteFile, error) {
	if len(o.files) > most {
		return nil, store.Permanent(fmt.Errorf("more than %d files", most))
	}
	files := make([]store.RemoteFile, 0, len(o.files))
	for _, name := range slices.Sorted(maps.Keys(o.files)) {
		files = append(files, store.RemoteFile{Name: name, Size: o.files[name].size})
	}
	return files, nil
}

// Read begins at the offset where the last read of the file broke off, else at 0.
func (o *origin) Read(ctx context.Context, name string, offset int64) (store.Body, error) {
	file, there := o.files[name]
	if !there {
		return store.Body{}, fmt.Errorf("%s: DVC tracks no such file (%w)", name, fs.ErrNotExist)
	}
	so := o.partial[name]
	if so == nil || so.done != offset {
		so, offset = &progress{hash: md5.New()}, 0
	}
	delete(o.partial, name)
	body, err := o.objects.Read(ctx, place(file.hash), offset)
	if err != nil {
		if offset > 0 {
			o.partial[name] = so
		}
		return store.Body{}, fmt.Errorf("%s: %w", name, err)
	}
	if body.Offset != offset {
		so = &progress{hash: md5.New()}
		if body.Offset != 0 {
			return store.Body{}, errors.Join(fmt.Errorf("%s: the remote begins at %d", name, body.Offset), body.Close())
		}
	}
	o.partial[name] = so
	body.ReadCloser = &checked{ReadCloser: body.ReadCloser, name: name, want: file.hash, so: so}
	return body, nil
}

// Close closes the remote.
func (o *origin) Close() error { return o.objects.Close() }

// checked fails at the end of a file that has another hash.
type checked struct {
	io.ReadCloser
	name, want string
	so         *progress
}

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.so.hash.Write(b[:n])
	c.so.done += int64(n)
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.so.hash.Sum(nil)) != c.want {
		// The last bytes are not handed on, and nothing goes on from here.
		c.so.done = -1
		return 0, errDiffers(c.name)
	}
	return n, err
}
