package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
)

// errBusy says that another holder, in this process or another, is in the way.
var errBusy = errors.New("in use")

// lock is a file lock on a folder or file. The system takes it back when the
// process ends, however it ends.
type lock struct{ file *os.File }

// lockAt takes a lock of what lies at a path now, shared or exclusive, or
// returns errBusy at once. A folder that was moved away between looking and
// locking is fs.ErrNotExist: a lock on it would guard nothing.
func lockAt(path string, how int) (*lock, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	l := &lock{file}
	if err := flock(file, how|syscall.LOCK_NB); err != nil {
		l.close()
		return nil, err
	}
	was, err := file.Stat()
	if err == nil {
		var is fs.FileInfo
		if is, err = os.Lstat(path); err == nil && !os.SameFile(was, is) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errBusy
		}
		return err
	}
}

// close gives the lock back.
func (l *lock) close() {
	// Nothing was written by this descriptor, so closing it loses nothing.
	_ = l.file.Close()
}

// await calls take until it returns anything but errBusy, or ctx ends.
func await(ctx context.Context, take func() (*lock, error)) (*lock, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		l, err := take()
		if !errors.Is(err, errBusy) {
			return l, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// lock takes the right to move folders, which is held for a moment only.
func (c *Cache) lock(ctx context.Context) (*lock, error) {
	l, err := await(ctx, func() (*lock, error) {
		l, err := lockAt(c.lockFile(), syscall.LOCK_EX)
		if errors.Is(err, fs.ErrNotExist) { // somebody cleared the folder away: begin a new one
			if err = c.make(); err == nil {
				return lockAt(c.lockFile(), syscall.LOCK_EX)
			}
		}
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("lock the artifact cache: %w", plain(err))
	}
	return l, nil
}

func (c *Cache) lockFile() string { return filepath.Join(c.dir, "lock") }

// plain drops the place on this machine from a file system's error.
func plain(err error) error { return artifact.WithoutPath(err) }
