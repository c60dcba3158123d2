package file

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// stateFiles holds everything that is not an operator's document, by key: as
// files below dir or, where that cannot be written, in memory.
type stateFiles struct {
	// dir is empty in memory.
	dir string

	mu     sync.Mutex
	memory map[string][]byte
}

const (
	indexFile = "index.json"
	lockFile  = "lock"
)

// openState makes the folder. What a folder that can be read but not written
// holds is taken into memory.
func openState(stateDir, name string, log *slog.Logger) *stateFiles {
	s := &stateFiles{memory: map[string][]byte{}}
	if stateDir == "" {
		log.Warn("no state folder: overrides, audit and the counter of changes end with this process")
		return s
	}
	dir := filepath.Join(stateDir, name)
	err := os.MkdirAll((&stateFiles{dir: dir}).overridesDir(), 0o700)
	if err == nil {
		err = tryWrite(dir)
	}
	if err == nil {
		if dir, err = filepath.Abs(dir); err == nil {
			s.dir = dir
			return s
		}
	}
	log.Warn("the state folder cannot be written: overrides, audit and the counter of changes are kept in memory and end with this process",
		"dir", dir, "err", err)
	disk := &stateFiles{dir: dir}
	keys, _ := disk.keys("") // what cannot be listed cannot be taken
	for _, key := range keys {
		if value, err := disk.read(key); err == nil {
			s.memory[key] = value
		}
	}
	return s
}

func tryWrite(dir string) error {
	probe, err := os.CreateTemp(dir, ".probe-*.tmp")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (s *stateFiles) inMemory() bool { return s.dir == "" }

// overridesDir is the folder to watch.
func (s *stateFiles) overridesDir() string {
	return filepath.Join(s.dir, strings.TrimSuffix(overridesPrefix, "/"))
}

// path is where a key's file lies.
func (s *stateFiles) path(key string) string {
	return filepath.Join(s.dir, filepath.FromSlash(statePath(key)))
}

// where names a key's place for people.
func (s *stateFiles) where(key string) string {
	if s.inMemory() {
		return "memory:" + key
	}
	return s.path(key)
}

// read fails with fs.ErrNotExist where there is no such key.
func (s *stateFiles) read(key string) ([]byte, error) {
	if !s.inMemory() {
		return os.ReadFile(s.path(key))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.memory[key]
	if !ok {
		return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return value, nil
}

// keys are all under a prefix, sorted. It fails where a folder is there and
// cannot be read.
func (s *stateFiles) keys(prefix string) ([]string, error) {
	if s.inMemory() {
		s.mu.Lock()
		defer s.mu.Unlock()
		keys := slices.Sorted(maps.Keys(s.memory))
		return slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, prefix) }), nil
	}
	// Only the part of the tree that the prefix names is walked.
	parts := strings.Split(prefix, "/")
	root := s.dir
	for _, part := range parts[:len(parts)-1] {
		root = filepath.Join(root, escape(part))
	}
	var keys []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // went away since, or never was
		}
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		key, ok := stateKey(filepath.ToSlash(relative))
		if ok && relative != indexFile && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		return nil
	})
	slices.Sort(keys)
	return keys, err
}

// set puts a value in memory, nil removes it.
func (s *stateFiles) set(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value == nil {
		delete(s.memory, key)
		return
	}
	s.memory[key] = value
}
