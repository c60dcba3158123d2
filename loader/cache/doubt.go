package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/segue-serving/segue/loader/artifact"
)

// Doubt says that an artifact did not verify, by the path that Fetch returned.
// Before it is given out again its files are compared with the manifest, and
// it is fetched anew where they differ.
func (c *Cache) Doubt(path string) {
	if digest := c.digestAt(path); digest != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.doubted[digest] = struct{}{}
	}
}

func (c *Cache) isDoubted(digest string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, doubted := c.doubted[digest]
	return doubted
}

// examine removes a doubted entry that is damaged. One that somebody else uses
// is looked at another time.
func (c *Cache) examine(ctx context.Context, digest string) {
	e := c.grasp(digest)
	if e == nil {
		return
	}
	damage := e.intact(ctx)
	e.lock.close()
	if ctx.Err() != nil {
		return
	}
	if damage != nil {
		err := c.discard(ctx, digest)
		if errors.Is(err, errBusy) {
			return
		}
		c.log.Warn("an artifact in the cache is damaged, and is fetched anew", "digest", digest, "damage", damage, "error", err)
		if err != nil {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.doubted, digest)
}

// discard removes an entry that nobody uses, else it returns errBusy.
func (c *Cache) discard(ctx context.Context, digest string) error {
	global, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer global.close()
	return c.remove(c.entryDir(digest))
}

// intact says how an entry differs from what was committed, nil where it does
// not.
func (e *entry) intact(ctx context.Context) error {
	files, err := e.listing()
	if err != nil {
		return err
	}
	if files == nil {
		made, _, err := artifact.Make(ctx, e.path())
		if err != nil {
			return err
		}
		body, err := artifact.Marshal(made)
		if err == nil && artifact.Digest(body) != e.digest {
			err = fmt.Errorf("the digest is %s", artifact.Digest(body))
		}
		return err
	}
	for _, want := range files {
		if got, err := hashFile(ctx, filepath.Join(e.dir, filepath.FromSlash(want.Path))); err != nil {
			return fmt.Errorf("%s: %w", want.Path, plain(err))
		} else if got != want.SHA256 {
			return fmt.Errorf("%s: SHA-256 is %s, the manifest says %s", want.Path, got, want.SHA256)
		}
	}
	return nil
}

func hashFile(ctx context.Context, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if err := copyUntil(ctx, hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
