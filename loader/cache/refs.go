package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// note is what is on disk of a reference: the digest that it had when it was
// fetched last or, with the version of a model, the one with which that serves.
type note struct {
	Version string `json:"version,omitempty"`
	URI     string `json:"uri"`
	Base    string `json:"base"`
	Digest  string `json:"digest"`
}

// lastOf is the note of what a reference had last, but for the digest.
func lastOf(ref store.Ref) note { return note{URI: ref.URI, Base: ref.Base} }

// key names the note, whatever its digest.
func (n note) key() string {
	sum := sha256.Sum256([]byte(n.Version + "\x00" + n.URI + "\x00" + n.Base))
	return hex.EncodeToString(sum[:])
}

// Pin notes that a reference without a digest, as a version of a model names
// it, came to serve with a digest.
func (c *Cache) Pin(version string, ref store.Ref, digest string) {
	if c.has(digest) {
		c.remember(context.Background(), note{version, ref.URI, ref.Base, digest})
	}
}

// Pinned returns the digest that was pinned, while its artifact is here, else
// nothing.
func (c *Cache) Pinned(version string, ref store.Ref) string {
	return c.lookUp(note{Version: version, URI: ref.URI, Base: ref.Base})
}

// remember writes a note. It is for a later process, so one that cannot be
// written is only logged.
func (c *Cache) remember(ctx context.Context, n note) {
	if c.lookUp(n) == n.Digest {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	if err := c.write(ctx, n); err != nil {
		c.log.Warn("the digest of a reference is not noted", "uri", withoutQuery(n.URI), "error", plain(err))
	}
}

func (c *Cache) write(ctx context.Context, n note) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	global, err := c.lock(ctx) // a file that is being written looks like one that was left
	if err != nil {
		return err
	}
	defer global.close()
	path := filepath.Join(c.dir, refsDir, n.key())
	if err := writeSynced(path+temporary, body); err != nil {
		return err
	}
	return os.Rename(path+temporary, path)
}

const temporary = ".tmp"

func writeSynced(path string, body []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(body)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// lookUp returns the digest of a note on disk whose artifact is here, empty
// where there is none.
func (c *Cache) lookUp(of note) string {
	body, err := os.ReadFile(filepath.Join(c.dir, refsDir, of.key()))
	if err != nil {
		return ""
	}
	n := parseNote(body)
	if n.key() != of.key() || !c.has(n.Digest) {
		return ""
	}
	return n.Digest
}

func (c *Cache) has(digest string) bool {
	_, err := os.Stat(c.entryDir(digest))
	return err == nil
}

// parseNote reads a note, an empty one where it is damaged.
func parseNote(body []byte) note {
	var n note
	if err := json.Unmarshal(body, &n); err != nil || !artifact.ValidDigest(n.Digest) {
		return note{}
	}
	return n
}

// sweepRefs removes the notes of artifacts that are not here any more. The
// caller holds the lock of the cache.
func (c *Cache) sweepRefs() error {
	var errs []error
	for _, name := range names(filepath.Join(c.dir, refsDir)) {
		path := filepath.Join(c.dir, refsDir, name)
		if !strings.HasSuffix(name, temporary) {
			body, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			if n := parseNote(body); n.Digest != "" && n.key() == name && c.has(n.Digest) {
				continue
			}
		}
		if err := os.Remove(path); err != nil {
			errs = append(errs, plain(err))
		}
	}
	return errors.Join(errs...)
}
