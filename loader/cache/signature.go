package cache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// signature brings the detached signature where there is one.
func (d *download) signature(s *staging) error {
	body, err := d.small(artifact.SignatureFile, artifact.MaxSignatureBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.write(artifact.SignatureFile, body)
}

// Unsigned says that an artifact, by the path that Fetch returned, has no
// signature that is good enough. A digest does not cover the signature, so one
// may be added or replaced: before the artifact is given out again the store
// is asked for it.
func (c *Cache) Unsigned(path string) {
	if digest := c.digestAt(path); digest != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bare[digest] = struct{}{}
	}
}

// digestAt is the digest of the entry that a path is of, empty for none.
func (c *Cache) digestAt(path string) string {
	rest, ok := strings.CutPrefix(path, filepath.Join(c.dir, entriesDir)+string(filepath.Separator))
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, string(filepath.Separator))
	return digestPrefix + name
}

func (c *Cache) isBare(digest string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, bare := c.bare[digest]
	return bare
}

// renew asks the store for another signature of an entry that needs one, and
// reports whether it came.
func (c *Cache) renew(ctx context.Context, remote store.Remote, ref store.Ref, e *entry) bool {
	if !c.isBare(e.digest) {
		return false
	}
	d := &download{cache: c, remote: remote, ref: ref}
	d.watch = newWatch(ctx, c.stall)
	defer d.watch.end()
	err := d.ask(func() (err error) {
		d.origin, err = remote.Open(d.watch.ctx, ref)
		return err
	})
	if err != nil {
		c.log.Warn("the store is not to be asked for another signature", "uri", withoutQuery(ref.URI), "error", err)
		return false
	}
	defer d.close()
	return d.renewed(e)
}

// renewed replaces the signature of an entry that needs another one by what
// the store has, in one step.
func (d *download) renewed(e *entry) bool {
	c := d.cache
	if !c.isBare(e.digest) {
		return false
	}
	body, err := d.small(artifact.SignatureFile, artifact.MaxSignatureBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	path := filepath.Join(e.dir, artifact.SignatureFile)
	if err == nil {
		// A hidden file is none of the artifact's.
		hidden := filepath.Join(e.dir, "."+artifact.SignatureFile)
		if err = writeSynced(hidden, body); err == nil {
			err = os.Rename(hidden, path)
		}
	}
	if err != nil {
		c.log.Warn("the artifact gets no other signature", "uri", withoutQuery(d.ref.URI), "error", plain(err))
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.bare, e.digest)
	delete(c.sizes, stagingKey(e.digest))
	return true
}
