package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
)

// entry is a complete artifact that somebody holds: nobody removes it before
// release.
type entry struct {
	cache  *Cache
	digest string
	dir    string
	lock   *lock
}

const digestPrefix = "sha256:"

func (c *Cache) entryDir(digest string) string {
	return filepath.Join(c.dir, entriesDir, strings.TrimPrefix(digest, digestPrefix))
}

// hold returns the entry of a digest, nil where there is none.
func (c *Cache) hold(ctx context.Context, digest string) *entry {
	if c.isDoubted(digest) {
		c.examine(ctx, digest)
	}
	e := c.grasp(digest)
	if e != nil {
		e.touch()
	}
	return e
}

// grasp holds an entry without counting that as a use of it.
func (c *Cache) grasp(digest string) *entry {
	e := &entry{cache: c, digest: digest, dir: c.entryDir(digest)}
	var err error
	if e.lock, err = lockAt(e.dir, syscall.LOCK_SH); err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errBusy) {
			c.log.Warn("an artifact in the cache cannot be opened", "digest", digest, "error", plain(err))
		}
		return nil // a busy one is being removed
	}
	return e
}

// release lets go of the entry, which counts as used until now.
func (e *entry) release() {
	e.touch()
	e.lock.close()
}

// touch notes that the entry was used. The folder's own time says so to all
// processes; the files' times stay as they are.
func (e *entry) touch() {
	now := time.Now()
	if err := os.Chtimes(e.dir, now, now); err != nil {
		e.cache.log.Warn("the use of an artifact in the cache is not noted", "digest", e.digest, "error", plain(err))
	}
}

// path is what an artifact is opened by: its folder, or its only file where it
// is one bare .onnx file of another name than a folder's model has.
func (e *entry) path() string { return artifactPath(e.dir) }

func artifactPath(dir string) string {
	for _, name := range []string{artifact.ManifestFile, artifact.ModelFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return dir
		}
	}
	files, err := os.ReadDir(dir)
	if err == nil && len(files) == 1 && strings.EqualFold(filepath.Ext(files[0].Name()), ".onnx") && files[0].Type().IsRegular() {
		return filepath.Join(dir, files[0].Name())
	}
	return dir
}

// listing returns the files that the entry's manifest lists, none where it has
// no manifest of its own.
func (e *entry) listing() ([]artifact.File, error) {
	body, err := os.ReadFile(filepath.Join(e.dir, artifact.ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, plain(err)
	}
	if digest := artifact.Digest(body); digest != e.digest {
		return nil, fmt.Errorf("%s: the digest is %s", artifact.ManifestFile, digest)
	}
	var manifest struct{ Files []artifact.File }
	if err := json.Unmarshal(body, &manifest); err != nil {
		return nil, fmt.Errorf("%s: %w", artifact.ManifestFile, err)
	}
	return manifest.Files, nil
}
