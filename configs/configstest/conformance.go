package configstest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/segue-serving/segue/configs"
)

// Conformance tests that a Store keeps the promises of configs.Store. Each
// subtest opens a store without keys of its own.
func Conformance(t *testing.T, open func(*testing.T) configs.Store) {
	for name, test := range map[string]func(*suite){
		"what is not there":           (*suite).nothing,
		"check-and-set":               (*suite).checkAndSet,
		"deletion":                    (*suite).deletion,
		"all or nothing":              (*suite).allOrNothing,
		"several writes, one index":   (*suite).together,
		"the same bytes":              (*suite).sameBytes,
		"the tool's mark":             (*suite).mark,
		"lists":                       (*suite).lists,
		"values are their owner's":    (*suite).owned,
		"what cannot be written":      (*suite).refused,
		"of many writers one wins":    (*suite).race,
		"somebody is named as caller": (*suite).who,
	} {
		t.Run(name, func(t *testing.T) { test(&suite{T: t, store: open(t)}) })
	}
}

// suite is one test of one store.
type suite struct {
	*testing.T
	store configs.Store
}

const (
	first  = "models/mozart"
	second = "models/haydn"
)

func put(key, value string, index uint64) configs.Write {
	return configs.Write{Key: key, Value: []byte(value), Index: index}
}

// done makes writes that must succeed.
func (s *suite) done(writes ...configs.Write) uint64 {
	s.Helper()
	index, err := s.store.Apply(s.Context(), writes...)
	if err != nil || index == 0 {
		s.Fatalf("%v: index %d, %v", writes, index, err)
	}
	return index
}

// conflicts makes writes for which somebody else was quicker.
func (s *suite) conflicts(what string, writes ...configs.Write) {
	s.Helper()
	if _, err := s.store.Apply(s.Context(), writes...); !errors.Is(err, configs.ErrConflict) {
		s.Errorf("%s: %v, want ErrConflict", what, err)
	}
}

// holds reads a key that must be there.
func (s *suite) holds(key, value string, index uint64) {
	s.Helper()
	item, ok, err := s.store.Get(s.Context(), key)
	if err != nil || !ok || item.Key != key || string(item.Value) != value || item.Index != index {
		s.Errorf("%s: %+v (%q), %v, %v; want %q at %d", key, item, item.Value, ok, err, value, index)
	}
}

func (s *suite) lacks(key string) {
	s.Helper()
	if item, ok, err := s.store.Get(s.Context(), key); ok || err != nil {
		s.Errorf("%s: %+v, %v, %v; want none", key, item, ok, err)
	}
}

func (s *suite) nothing() {
	s.lacks(first)
	if items, err := s.store.List(s.Context(), "models/"); err != nil || len(items) > 0 {
		s.Errorf("list of nothing: %v, %v", items, err)
	}
}

func (s *suite) checkAndSet() {
	created := s.done(put(first, "a", 0))
	s.holds(first, "a", created)
	s.conflicts("create what is there", put(first, "b", 0))
	s.conflicts("an index that is none", put(first, "b", created+1000))
	s.conflicts("change what is not there", put(second, "b", created))
	s.holds(first, "a", created)
	s.lacks(second)
	changed := s.done(put(first, "b", created))
	if changed <= created {
		s.Errorf("changed at %d, created at %d", changed, created)
	}
	s.holds(first, "b", changed)
	s.conflicts("an index of before", put(first, "c", created))
	s.holds(first, "b", changed)
}

func (s *suite) deletion() {
	created := s.done(put(first, "a", 0))
	changed := s.done(put(first, "b", created))
	s.conflicts("delete at an index of before", configs.Write{Key: first, Delete: true, Index: created})
	s.conflicts("delete what is not there", configs.Write{Key: second, Delete: true, Index: changed})
	s.holds(first, "b", changed)
	deleted := s.done(configs.Write{Key: first, Delete: true, Index: changed})
	if deleted <= changed {
		s.Errorf("deleted at %d, changed at %d", deleted, changed)
	}
	s.lacks(first)
	s.conflicts("change what was deleted", put(first, "c", changed))
	if again := s.done(put(first, "a", 0)); again <= deleted {
		s.Errorf("created again at %d, deleted at %d", again, deleted)
	}
}

func (s *suite) allOrNothing() {
	created := s.done(put(first, "a", 0))
	s.conflicts("the last of three", put(second, "a", 0), put(first, "b", created), put(first+"-2", "a", created))
	s.conflicts("the first of two", put(first, "b", created+1000), put(second, "a", 0))
	s.conflicts("a deletion among them", configs.Write{Key: first, Delete: true, Index: created}, put(second, "a", created))
	s.holds(first, "a", created)
	s.lacks(second)
}

func (s *suite) together() {
	created := s.done(put(first, "a", 0))
	changed := s.done(put(first, "b", created), put(second, "a", 0))
	s.holds(first, "b", changed)
	s.holds(second, "a", changed)
	replaced := s.done(configs.Write{Key: first, Delete: true, Index: changed}, put(second, "b", changed))
	s.lacks(first)
	s.holds(second, "b", replaced)
}

func (s *suite) sameBytes() {
	created := s.done(put(first, "a", 0))
	if again := s.done(put(first, "a", created)); again != created {
		s.Errorf("written again at %d, want %d", again, created)
	}
	s.holds(first, "a", created)
}

func (s *suite) mark() {
	marked := func(want bool) {
		s.Helper()
		if item, _, err := s.store.Get(s.Context(), first); err != nil || item.Tool != want {
			s.Errorf("marked as the tool's: %v, %v; want %v", item.Tool, err, want)
		}
	}
	created := s.done(configs.Write{Key: first, Value: []byte("a"), Tool: true})
	marked(true)
	s.done(put(first, "b", created))
	marked(false)
}

func (s *suite) lists() {
	s.done(put("models/b", "b", 0))
	s.done(put("models/B", "B", 0))
	s.done(put("overrides/a", "o", 0))
	index := s.done(put("models/a", "a", 0))
	items, err := s.store.List(s.Context(), "models/")
	var keys []string
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	if want := []string{"models/B", "models/a", "models/b"}; err != nil || !slices.Equal(keys, want) {
		s.Fatalf("list %q, %v; want %q", keys, err, want)
	}
	if string(items[1].Value) != "a" || items[1].Index != index {
		s.Errorf("listed as %q at %d", items[1].Value, items[1].Index)
	}
	if all, err := s.store.List(s.Context(), ""); err != nil || len(all) != 4 {
		s.Errorf("list of all: %v, %v", all, err)
	}
}

func (s *suite) owned() {
	value := []byte("abc")
	index := s.done(configs.Write{Key: first, Value: value})
	value[0] = 'x'
	item, _, err := s.store.Get(s.Context(), first)
	if err != nil {
		s.Fatal(err)
	}
	s.holds(first, "abc", index)
	item.Value[0] = 'y'
	s.holds(first, "abc", index)
}

func (s *suite) refused() {
	for what, writes := range map[string][]configs.Write{
		"nothing":                     nil,
		"no key":                      {put("", "a", 0)},
		"a folder":                    {put("models/", "a", 0)},
		"a deletion without an index": {{Key: first, Delete: true}},
		"a good one and a bad one":    {put(first, "a", 0), put("models/", "a", 0)},
	} {
		if _, err := s.store.Apply(s.Context(), writes...); err == nil || errors.Is(err, configs.ErrUnreachable) {
			s.Errorf("%s: %v", what, err)
		}
	}
	s.lacks(first)
}

func (s *suite) race() {
	const writers = 8
	index := s.done(put(first, "a", 0))
	var (
		wg   sync.WaitGroup
		errs [writers]error
	)
	for i := range writers {
		wg.Go(func() { _, errs[i] = s.store.Apply(s.Context(), put(first, fmt.Sprint(i), index)) })
	}
	wg.Wait()
	winner := slices.Index(errs[:], nil)
	for i, err := range errs {
		if i != winner && !errors.Is(err, configs.ErrConflict) {
			s.Errorf("writer %d: %v; writer %d won", i, err, winner)
		}
	}
	if item, _, err := s.store.Get(s.Context(), first); err != nil || string(item.Value) != fmt.Sprint(winner) {
		s.Errorf("%q, %v; want that of writer %d", item.Value, err, winner)
	}
}

func (s *suite) who() {
	if s.store.Who(s.Context()) == "" {
		s.Error("nobody")
	}
}
