package cache

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/segue-serving/segue/loader/artifact"
)

// reuse copies a file that another artifact in the cache has already. The copy
// shares its blocks where the file system can do that. It is no hard link: a
// change of one would be a change of both, and a verifier refuses links. What
// was copied is checked like what comes from a store.
func (d *download) reuse(ctx context.Context, s *staging, want artifact.File) error {
	if want.Size == 0 {
		return nil
	}
	e, from := d.cache.find(want.SHA256)
	if e == nil {
		return nil
	}
	defer e.lock.close()
	file, err := s.open(want.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Size() == want.Size {
		return plain(err) // it is all there already
	}
	if d.copied[want.Path] {
		d.cache.Doubt(e.dir) // the copy was not what it should be
		return nil
	}
	d.copied[want.Path] = true
	source, err := os.Open(from)
	if err != nil {
		d.cache.Doubt(e.dir)
		return nil
	}
	defer source.Close()
	err = file.Truncate(0)
	for copied := int64(0); err == nil && copied < want.Size; {
		var n int64
		n, err = io.CopyN(file, source, min(64<<20, want.Size-copied))
		copied += n
		if err == nil {
			err = ctx.Err()
		}
	}
	if errors.Is(err, io.EOF) {
		d.cache.Doubt(e.dir) // it is shorter than it was
		return nil
	}
	return plain(err)
}

// location is where a file lies in the cache.
type location struct{ digest, path string }

// readIndex notes which files the entries have that came since it was read last.
func (c *Cache) readIndex() {
	for _, name := range names(filepath.Join(c.dir, entriesDir)) {
		c.mu.Lock()
		_, known := c.indexed[name]
		c.mu.Unlock()
		if known {
			continue
		}
		e := c.grasp(digestPrefix + name)
		if e == nil {
			continue
		}
		files, err := e.listing()
		e.lock.close()
		if err != nil {
			c.Doubt(e.dir)
			continue
		}
		c.mu.Lock()
		c.indexed[name] = struct{}{}
		for _, f := range files {
			c.index[f.SHA256] = location{e.digest, filepath.FromSlash(f.Path)}
		}
		c.mu.Unlock()
	}
}

// find returns an entry that has a file of that hash, held, and where it lies.
func (c *Cache) find(sha256 string) (*entry, string) {
	c.mu.Lock()
	at, ok := c.index[sha256]
	c.mu.Unlock()
	if !ok {
		return nil, ""
	}
	e := c.grasp(at.digest)
	if e == nil { // it was removed
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.index, sha256)
		delete(c.indexed, stagingKey(at.digest))
		return nil, ""
	}
	return e, filepath.Join(e.dir, at.path)
}
