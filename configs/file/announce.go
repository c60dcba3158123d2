package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxNamesakes bounds the search for a free name.
const maxNamesakes = 100

// Announce keeps the newest update in status/<instance> of the state folder,
// written at most once a second, and removes it when ctx ends. Where another
// process holds that name it is <instance>-2 and so on, with a warning. A
// status whose gateway died is not listed: its lock is free.
func (f *Folder) Announce(ctx context.Context, instance string, updates <-chan []byte) error {
	key := statusPrefix + instance
	if err := checkKey(key); err != nil || strings.Contains(instance, "/") {
		return fmt.Errorf("instance %q cannot be a key", instance)
	}
	key, release, err := f.hold(key)
	if err != nil {
		return fmt.Errorf("announce %s: %w", instance, err)
	}
	defer release()
	if name := strings.TrimPrefix(key, statusPrefix); name != instance {
		f.log.Warn("another gateway has this instance's name", "instance", instance, "seen_as", name)
	}
	var (
		newest []byte
		next   time.Time        // when the next write is allowed
		due    <-chan time.Time // nil while there is nothing to write
	)
	for {
		select {
		case <-ctx.Done():
			return nil
		case value, ok := <-updates:
			if !ok {
				updates = nil // what was written stays until the end
				continue
			}
			newest = value
			if due == nil {
				due = time.After(time.Until(next))
			}
		case <-due:
			due = nil
			next = time.Now().Add(f.announceEvery)
			if err := f.writeStatus(key, newest); err != nil {
				f.log.Warn("status not written", "instance", instance, "err", err)
			}
		}
	}
}

func (f *Folder) writeStatus(key string, value []byte) error {
	if f.state.inMemory() {
		f.state.set(key, value)
		return nil
	}
	return writeFile(f.state.path(key), value, 0o600)
}

// hold takes a name, or the first free one with a suffix, until release.
func (f *Folder) hold(key string) (held string, release func(), err error) {
	for i := 1; i <= maxNamesakes; i++ {
		held = key
		if i > 1 {
			held = fmt.Sprintf("%s-%d", key, i)
		}
		release, err := f.state.holdStatus(held)
		if err != nil || release != nil {
			return held, release, err
		}
	}
	return "", nil, errors.New("all names are taken")
}

// holdStatus locks a status's name; nil where another process has it. Nobody
// else can have one in memory.
func (s *stateFiles) holdStatus(key string) (release func(), err error) {
	if s.inMemory() {
		return func() { s.set(key, nil) }, nil
	}
	if err := os.MkdirAll(filepath.Dir(s.path(key)), 0o700); err != nil {
		return nil, err
	}
	// A reader that asks whether the name is held has its lock for a moment.
	for range 3 {
		lock, err := tryLock(s.statusLock(key))
		if err != nil {
			return nil, err
		}
		if lock == nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		return func() {
			// Removed while the lock is held: see tryLock.
			_ = os.Remove(s.path(key))
			_ = os.Remove(s.statusLock(key))
			_ = lock.Close()
		}, nil
	}
	return nil, nil
}

// statusLock is a hidden file, so it is no key.
func (s *stateFiles) statusLock(key string) string {
	dir, name := filepath.Split(s.path(key))
	return filepath.Join(dir, "."+name+".lock")
}

// alive reports whether somebody holds a status's name, and removes what a
// gateway that died left behind.
func (s *stateFiles) alive(key string) bool {
	if s.inMemory() {
		return true
	}
	lock, err := tryLock(s.statusLock(key))
	if err != nil || lock == nil {
		return true // held, or it cannot be known
	}
	_ = os.Remove(s.path(key))
	_ = os.Remove(s.statusLock(key))
	_ = lock.Close()
	return false
}
