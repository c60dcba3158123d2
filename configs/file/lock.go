package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/segue-serving/segue/configs"
)

// lockPatience is how long a process waits for another one's read or write,
// each of which takes milliseconds.
const lockPatience = 10 * time.Second

// lock keeps other processes (and other Folders of this one) away from the
// folder and its state until unlock. In memory there is nobody to keep away.
func (s *stateFiles) lock(ctx context.Context) (unlock func(), err error) {
	if s.inMemory() {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	path := filepath.Join(s.dir, lockFile)
	for {
		held, err := tryLock(path)
		if errors.Is(err, fs.ErrNotExist) {
			// Somebody cleared the state away: begin a new one.
			if err = os.MkdirAll(s.overridesDir(), 0o700); err == nil {
				held, err = tryLock(path)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("lock the state folder: %w", err)
		}
		if held != nil {
			return func() { _ = held.Close() }, nil // closing unlocks
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: another process holds %s", configs.ErrUnreachable, path)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// tryLock takes a lock file, made if it is not there; nil where somebody else
// holds it. Closing the file gives it back.
func tryLock(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			// A file system that became read-only still locks.
			if file, err = os.Open(path); err != nil {
				return nil, err
			}
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			_ = file.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
				return nil, nil
			}
			return nil, &os.PathError{Op: "flock", Path: path, Err: err}
		}
		// Whoever held it before may have removed it: then this is a lock on
		// a file that nobody else will find.
		mine, err1 := file.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return file, nil
		}
		_ = file.Close()
	}
}
