package configstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/segue-serving/segue/configs"
)

// Caller is what Who of a Store in memory returns.
const Caller = "tester"

// Store is a configs.Store in memory. Its index counts changes from 1 on. All
// methods may be called from several goroutines.
type Store struct {
	mu     sync.Mutex
	items  map[string]configs.Item
	index  uint64
	writes []string
	before func()
	// readErr and writeErr are what reads and writes answer, nil where they work.
	readErr, writeErr error
}

// NewStore returns a Store without keys.
func NewStore() *Store { return &Store{items: map[string]configs.Item{}} }

// Get implements configs.Store. The value is the caller's own.
func (s *Store) Get(_ context.Context, key string) (configs.Item, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr != nil {
		return configs.Item{}, false, s.readErr
	}
	item, ok := s.items[key]
	return copied(item), ok, nil
}

// List implements configs.Store. The values are the caller's own.
func (s *Store) List(_ context.Context, prefix string) ([]configs.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr != nil {
		return nil, s.readErr
	}
	var found []configs.Item
	for _, key := range slices.Sorted(maps.Keys(s.items)) {
		if strings.HasPrefix(key, prefix) {
			found = append(found, copied(s.items[key]))
		}
	}
	return found, nil
}

// Apply implements configs.Store. A write of what is there already leaves the
// key at its index, as in Consul.
func (s *Store) Apply(_ context.Context, writes ...configs.Write) (uint64, error) {
	s.mu.Lock()
	before := s.before
	s.before = nil
	s.mu.Unlock()
	if before != nil {
		before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil {
		return 0, s.writeErr
	}
	if err := check(writes); err != nil {
		return 0, err
	}
	next, at := maps.Clone(s.items), uint64(0)
	for _, w := range writes {
		item := next[w.Key]
		switch {
		case item.Index != w.Index:
			return 0, fmt.Errorf("write %s at index %d: %w: it is at %d", w.Key, w.Index, configs.ErrConflict, item.Index)
		case w.Delete:
			delete(next, w.Key)
			at = s.index + 1
		case w.Index > 0 && bytes.Equal(item.Value, w.Value) && item.Tool == w.Tool:
			at = max(at, item.Index)
		default:
			at = s.index + 1
			next[w.Key] = copied(configs.Item{Key: w.Key, Value: w.Value, Index: at, Tool: w.Tool})
		}
	}
	s.items, s.index = next, max(s.index, at)
	for _, w := range writes {
		verb := "write "
		if w.Delete {
			verb = "delete "
		}
		s.writes = append(s.writes, verb+w.Key)
	}
	return at, nil
}

// check refuses what no Store can do.
func check(writes []configs.Write) error {
	if len(writes) == 0 {
		return errors.New("nothing to write")
	}
	for _, w := range writes {
		switch {
		case w.Key == "" || strings.HasPrefix(w.Key, "/") || strings.HasSuffix(w.Key, "/"):
			return fmt.Errorf("%q is not a key", w.Key)
		case w.Delete && w.Index == 0:
			return fmt.Errorf("delete %s: a deletion must name the index", w.Key)
		}
	}
	return nil
}

// Who implements configs.Store: everybody is Caller.
func (s *Store) Who(context.Context) string { return Caller }

// Set writes a key as somebody else does, past check-and-set, and returns the
// index of the write, which is always a new one.
func (s *Store) Set(key, value string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	s.items[key] = configs.Item{Key: key, Value: []byte(value), Index: s.index}
	return s.index
}

// Delete removes keys as somebody else does, past check-and-set, each at an
// index of its own.
func (s *Store) Delete(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if _, ok := s.items[key]; ok {
			s.index++
			delete(s.items, key)
		}
	}
}

// Restore gives the store the index of another, older or newer one; keys keep
// theirs.
func (s *Store) Restore(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index = index
}

// Item returns one key, empty and at index 0 where there is none, even while
// reads fail.
func (s *Store) Item(key string) configs.Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copied(s.items[key])
}

// All returns everything, sorted by key, and the index of the last change, even
// while reads fail.
func (s *Store) All() (items []configs.Item, index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.items)) {
		items = append(items, copied(s.items[key]))
	}
	return items, s.index
}

// Keys returns all keys, sorted, even while reads fail.
func (s *Store) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.items))
}

// Index returns the index of the last change, 0 before the first.
func (s *Store) Index() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index
}

// Writes returns what Apply has done so far, in order: "write KEY" or "delete
// KEY".
func (s *Store) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// BeforeApply has the function called once, at the beginning of the next Apply,
// as somebody who is quicker. It may use the store.
func (s *Store) BeforeApply(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Fail makes Get, List and Apply return this error and change
// nothing; nil lets them work again.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readErr, s.writeErr = err, err
}

// FailWrites makes Apply alone return this error and change nothing;
// nil lets it work again.
func (s *Store) FailWrites(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeErr = err
}

// Failing returns the error that writes return now.
func (s *Store) Failing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeErr
}

func copied(item configs.Item) configs.Item {
	item.Value = bytes.Clone(item.Value)
	return item
}
