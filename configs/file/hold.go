package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/segue-serving/segue/configs"
)

// holdEvery is about how often a process that waits for a lock asks for it.
const holdEvery = time.Second

// Hold implements configs.Locker. The lock is between processes that share the
// state folder; in memory, or where the folder cannot be locked, a process is
// alone and always has it. It is never lost, and free as soon as its holder is
// gone.
func (f *Folder) Hold(ctx context.Context, name string, fn func(ctx context.Context) error) error {
	if err := configs.CheckName(name); err != nil {
		return fmt.Errorf("lock %q: %w", name, err)
	}
	if f.state.inMemory() {
		return fn(ctx)
	}
	for ctx.Err() == nil {
		held, err := f.state.holdLock(name)
		if err != nil {
			f.log.Warn("lock not to be had: taken for this process alone", "lock", name, "err", err)
			return fn(ctx)
		}
		if held != nil {
			defer held.Close() // which gives it back
			return fn(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(holdEvery/2 + rand.N(holdEvery)):
		}
	}
	return nil
}

// holdLock takes a lock by name; nil where somebody else has it.
func (s *stateFiles) holdLock(name string) (*os.File, error) {
	// A hidden file is no key.
	path := s.path(configs.LockKey(name))
	path = filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	held, err := tryLock(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			held, err = tryLock(path)
		}
	}
	return held, err
}
