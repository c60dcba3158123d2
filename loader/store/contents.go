package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/segue-serving/segue/loader/artifact"
)

// Contents is what a push writes: the files of a folder with a manifest. It is
// closed after use.
type Contents struct {
	// Manifest describes the artifact.
	Manifest *artifact.Manifest
	// Digest is that of the manifest.
	Digest string
	// Files are those that the manifest lists and, after them, those whose
	// names begin with the manifest's, such as a detached signature. The
	// manifest itself is not among them.
	Files []artifact.File

	body []byte
	root *os.Root
}

// OpenContents reads the manifest of a folder and holds it against the digest
// that the folder was verified with.
func OpenContents(dir, digest string) (*Contents, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, plain(err)
	}
	c := &Contents{root: root}
	if err := c.read(digest); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return c, nil
}

func (c *Contents) read(digest string) error {
	body, err := c.root.ReadFile(artifact.ManifestFile)
	if err != nil {
		return fmt.Errorf("%s: %w", artifact.ManifestFile, plain(err))
	}
	c.body, c.Digest = body, artifact.Digest(body)
	if c.Digest != digest {
		return fmt.Errorf("%s: its digest is %s, and %s was verified", artifact.ManifestFile, c.Digest, digest)
	}
	if c.Manifest, err = artifact.Parse(body); err != nil {
		return err
	}
	c.Files = slices.Clone(c.Manifest.Files)
	entries, err := fs.ReadDir(c.root.FS(), ".")
	if err != nil {
		return plain(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		listed := slices.ContainsFunc(c.Files, func(f artifact.File) bool { return f.Path == name })
		if !entry.Type().IsRegular() || !strings.HasPrefix(name, artifact.ManifestFile) || name == artifact.ManifestFile || name == Unfinished || listed {
			continue
		}
		beside, err := c.root.ReadFile(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, plain(err))
		}
		sum := sha256.Sum256(beside)
		c.Files = append(c.Files, artifact.File{Path: name, Size: int64(len(beside)), SHA256: hex.EncodeToString(sum[:])})
	}
	return nil
}

// Unfinished is the name of what a push puts beside the files in a store that
// has no transactions, until the manifest is written: a folder without a
// manifest would else be taken for an artifact that never had one.
const Unfinished = artifact.ManifestFile + ".unfinished"

// ManifestBody is the manifest as it lies in the folder.
func (c *Contents) ManifestBody() []byte { return c.body }

// Total is the size of all files with the manifest, in bytes.
func (c *Contents) Total() int64 {
	total := int64(len(c.body))
	for _, f := range c.Files {
		total += f.Size
	}
	return total
}

// Open reads one of Files. What was read to its end without an error has the
// file's size and SHA-256.
func (c *Contents) Open(f artifact.File) (io.ReadCloser, error) {
	file, err := c.root.Open(filepath.FromSlash(f.Path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, plain(err))
	}
	return &checkedFile{File: file, want: f, hash: sha256.New()}, nil
}

// Close closes the folder.
func (c *Contents) Close() error { return c.root.Close() }

// checkedFile fails at its end where it is not what was verified.
type checkedFile struct {
	*os.File
	want artifact.File
	hash hash.Hash
	size int64
}

func (c *checkedFile) Read(b []byte) (int, error) {
	n, err := c.File.Read(b)
	c.hash.Write(b[:n])
	c.size += int64(n)
	if c.size > c.want.Size || errors.Is(err, io.EOF) && (c.size != c.want.Size || hex.EncodeToString(c.hash.Sum(nil)) != c.want.SHA256) {
		return 0, fmt.Errorf("%s: changed since it was verified", c.want.Path)
	}
	return n, err
}

// WriteTo hides that of the file, which would read past the check.
func (c *checkedFile) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

// SameDigest says whether the artifact that lies in a store is the one that is
// pushed: nil, or ErrExists with both digests.
func SameDigest(there, pushed string) error {
	if there == pushed {
		return nil
	}
	return fmt.Errorf("%w: its digest is %q, and that of what is pushed %s: a version never changes, so push it under another name", ErrExists, there, pushed)
}

// ReadManifest reads a manifest from an origin, whole.
func ReadManifest(body Body) ([]byte, error) {
	defer body.Close()
	var buffer bytes.Buffer
	n, err := buffer.ReadFrom(io.LimitReader(body, artifact.MaxManifestBytes+1))
	if err == nil && n > artifact.MaxManifestBytes {
		err = Permanent(fmt.Errorf("more than the %d bytes that a manifest may have", artifact.MaxManifestBytes))
	}
	return buffer.Bytes(), err
}
