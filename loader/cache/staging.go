package cache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// staging is a download under way, which this process alone works on. What
// came so far stays when it ends early, and is gone on with.
type staging struct {
	cache *Cache
	dir   string
	lock  *lock
	// root is the folder that becomes the entry. No name leads out of it.
	root *os.Root
}

const (
	filesDir = "files"
	// sizeFile says how much room the whole artifact takes.
	sizeFile = "size"
)

// stage takes the staging folder of a key, and waits while another works on it.
func (c *Cache) stage(ctx context.Context, key string) (*staging, error) {
	s := &staging{cache: c, dir: filepath.Join(c.dir, stagingDir, key)}
	var err error
	s.lock, err = await(ctx, func() (*lock, error) {
		// Nothing is made in it before it is this process's: whoever has it may
		// be removing it.
		err := os.MkdirAll(s.dir, 0o700)
		if err == nil {
			var l *lock
			if l, err = lockAt(s.dir, syscall.LOCK_EX); err == nil {
				return l, nil
			}
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			return nil, errBusy // it was completed in this moment, or begun
		}
		return nil, err
	})
	if err != nil {
		return nil, plain(err)
	}
	err = os.MkdirAll(filepath.Join(s.dir, filesDir), 0o700)
	if err == nil {
		now := time.Now()
		err = os.Chtimes(s.dir, now, now)
	}
	if err == nil {
		s.root, err = os.OpenRoot(filepath.Join(s.dir, filesDir))
	}
	if err != nil {
		s.lock.close()
		return nil, plain(err)
	}
	return s, nil
}

// close lets others go on with what is there.
func (s *staging) close() {
	_ = s.root.Close() // a folder that is only read
	s.lock.close()
}

// free removes all that came.
func (s *staging) free() error { return plain(os.RemoveAll(s.dir)) }

// done removes what nobody needs any more, since the artifact is in the cache.
func (s *staging) done() {
	if err := s.free(); err != nil {
		s.cache.log.Warn("a download leaves something behind", "error", err)
	}
}

// clear begins anew.
func (s *staging) clear() error {
	for _, name := range names(filepath.Join(s.dir, filesDir)) {
		if err := s.root.RemoveAll(name); err != nil {
			return plain(err)
		}
	}
	return nil
}

// open opens a file of the artifact for reading and writing, with the folders
// above it.
func (s *staging) open(name string) (*os.File, error) {
	if err := s.root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o700); err != nil {
		return nil, plain(err)
	}
	file, err := s.root.OpenFile(filepath.FromSlash(name), os.O_RDWR|os.O_CREATE, 0o600)
	return file, plain(err)
}

// write puts a small file in place whole.
func (s *staging) write(name string, body []byte) error {
	file, err := s.open(name)
	if err != nil {
		return err
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = file.Write(body)
	}
	if err == nil {
		err = file.Sync()
	}
	return plain(errors.Join(err, file.Close()))
}

// claim notes how much room the whole artifact takes.
func (s *staging) claim(size int64) error {
	return plain(os.WriteFile(filepath.Join(s.dir, sizeFile), strconv.AppendInt(nil, size, 10), 0o600))
}

// claimed is the room that a download takes or will take.
func claimed(dir string) int64 {
	size := int64(0)
	if body, err := os.ReadFile(filepath.Join(dir, sizeFile)); err == nil {
		size, _ = strconv.ParseInt(string(body), 10, 64) // 0 where it was cut off
	}
	return max(size, diskSize(filepath.Join(dir, filesDir)))
}

// commit gives the artifact its name: everything is on disk before that. It
// returns the entry held.
func (s *staging) commit(ctx context.Context, digest string) (*entry, error) {
	files := filepath.Join(s.dir, filesDir)
	if err := syncFolders(files); err != nil {
		return nil, plain(err)
	}
	// Nobody can remove the entry between the rename and the hold.
	global, err := s.cache.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer global.close()
	if err := os.Rename(files, s.cache.entryDir(digest)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, plain(err)
	}
	if err := syncFolder(filepath.Join(s.cache.dir, entriesDir)); err != nil {
		return nil, plain(err)
	}
	e := s.cache.grasp(digest)
	if e == nil {
		return nil, errors.New("the artifact cannot be opened in the cache")
	}
	e.touch()
	s.done()
	return e, nil
}

// syncFolders puts the names in a folder and below on disk.
func syncFolders(dir string) error {
	return filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncFolder(at)
	})
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
