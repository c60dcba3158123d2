package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// remove removes a folder that nobody uses, or returns errBusy. It is moved to
// the trash first, in one step, so that no name is that of half an artifact.
// The caller holds the lock of the cache.
func (c *Cache) remove(dir string) error {
	l, err := lockAt(dir, syscall.LOCK_EX)
	if err != nil {
		return plain(err)
	}
	defer l.close()
	trash, err := os.MkdirTemp(filepath.Join(c.dir, trashDir), "")
	if err != nil {
		return plain(err)
	}
	if err := os.Rename(dir, filepath.Join(trash, "it")); err != nil {
		return plain(err)
	}
	return plain(os.RemoveAll(trash))
}

// emptyTrash removes what a process that was killed did not.
func (c *Cache) emptyTrash() error {
	var errs []error
	for _, name := range names(filepath.Join(c.dir, trashDir)) {
		errs = append(errs, plain(os.RemoveAll(filepath.Join(c.dir, trashDir, name))))
	}
	return errors.Join(errs...)
}

// abandoned is how long a download that nobody works on is kept to be gone on
// with.
const abandoned = 24 * time.Hour

// sweepStaging removes downloads that nobody goes on with: those that are
// complete by now, and old ones. The caller holds the lock of the cache.
func (c *Cache) sweepStaging() error {
	var errs []error
	for _, key := range names(filepath.Join(c.dir, stagingDir)) {
		dir := filepath.Join(c.dir, stagingDir, key)
		info, err := os.Stat(dir)
		if err != nil {
			continue
		}
		_, err = os.Stat(filepath.Join(c.dir, entriesDir, key))
		if err != nil && time.Since(info.ModTime()) < abandoned {
			continue
		}
		if err := c.remove(dir); err != nil && !errors.Is(err, errBusy) && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// names lists a folder, nothing where it cannot be read.
func names(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Name()
	}
	return out
}
