package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
)

// look is everything that the folder and its state hold, read at one time and
// numbered.
type look struct {
	// docs are all counted keys, those of the state folder among them.
	docs  map[string]document
	index *index
}

// read looks at everything. The caller holds f.reading and the state's lock.
func (f *Folder) read() (look, error) {
	docs, err := readDocuments(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return look{}, fmt.Errorf("folder of documents %w: %w", configs.ErrUnreachable, err)
	}
	if err != nil {
		return look{}, fmt.Errorf("folder of documents: %w", err)
	}
	for _, prefix := range []string{overridesPrefix, resolvedPrefix} {
		keys, err := f.state.keys(prefix)
		if err != nil {
			return look{}, fmt.Errorf("state folder: %w", err)
		}
		for _, key := range keys {
			value, err := f.state.read(key)
			if errors.Is(err, fs.ErrNotExist) {
				continue // went away since
			}
			d := document{value: value, path: f.state.where(key)}
			if err != nil {
				d = document{path: d.path, problem: reason(err), cause: err}
			}
			docs[key] = d
		}
	}
	l := look{docs, f.loadIndex()}
	next := l.index.Last + 1
	for _, key := range slices.Sorted(maps.Keys(docs)) {
		l.index.note(key, docs[key].sum(), next, false)
	}
	// A key is forgotten only where it is really gone: a folder that comes
	// back with the same documents changes no index.
	if _, ok := docs[settingsKey]; ok {
		for key := range l.index.Keys {
			if _, ok := docs[key]; !ok {
				delete(l.index.Keys, key)
				l.index.Last = next
			}
		}
	}
	f.saveIndex(l.index)
	return l, nil
}

// locked runs do with a fresh look, alone in this process and among processes.
func (f *Folder) locked(ctx context.Context, do func(look) error) error {
	f.reading.Lock()
	defer f.reading.Unlock()
	unlock, err := f.state.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := f.read()
	if err != nil {
		return err
	}
	return do(l)
}

// loadIndex is a copy of the newest index: the file's, because another process
// may have counted on, or the one in memory where there is no file.
func (f *Folder) loadIndex() *index {
	if f.state.inMemory() {
		if f.index.Last == 0 {
			// Higher than whatever the process before this one counted to.
			f.index.Last = uint64(time.Now().Unix())
		}
		return f.index.clone()
	}
	text, err := os.ReadFile(filepath.Join(f.state.dir, indexFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.index.clone()
	case err != nil:
		f.log.Warn("the counter of changes cannot be read", "err", err)
		return f.index.clone()
	}
	x, err := decodeIndex(text, f.dir, time.Now())
	if err != nil {
		f.log.Warn("the counter of changes is damaged: counting on from the time", "err", err)
	}
	if x.Last < f.index.Last {
		return f.index.clone() // the last save failed
	}
	return x
}

// saveIndex keeps a look's index, on disk only where it changed.
func (f *Folder) saveIndex(x *index) {
	same := f.index.Last == x.Last && maps.Equal(f.index.Keys, x.Keys)
	f.index = x.clone()
	if same || f.state.inMemory() {
		return
	}
	if err := writeFile(filepath.Join(f.state.dir, indexFile), x.encode(), 0o600); err != nil {
		f.log.Warn("the counter of changes could not be saved", "err", err)
	}
}

// snapshot is a look as a configs.Snapshot.
func (f *Folder) snapshot(l look) configs.Snapshot {
	s := configs.Snapshot{
		Index:     l.index.Last,
		Models:    map[string]configs.Entry{},
		Overrides: map[string]configs.Entry{},
		Resolved:  map[string]configs.Entry{},
	}
	for key, d := range l.docs {
		prefix, name, _ := strings.Cut(key, "/")
		e := configs.Entry{
			Name: name, Value: d.value, Where: d.path, Base: f.dir, Problem: d.problem,
			Index: l.index.Keys[key].Index, WrittenByTool: l.index.Keys[key].Tool,
		}
		switch prefix + "/" {
		case modelsPrefix:
			s.Models[name] = e
		case overridesPrefix:
			s.Overrides[name] = e
		case resolvedPrefix:
			s.Resolved[name] = e
		default:
			e.Name = settingsKey
			s.Settings = &e
		}
	}
	s.Authoritative = s.Settings != nil
	return s
}

// sameSnapshot reports that nothing changed that a reader could see.
func sameSnapshot(a, b configs.Snapshot) bool {
	same := func(a, b configs.Entry) bool {
		return a.Index == b.Index && a.Problem == b.Problem && a.Where == b.Where && string(a.Value) == string(b.Value)
	}
	return a.Authoritative == b.Authoritative && a.FromLastGood == b.FromLastGood &&
		(a.Settings == nil) == (b.Settings == nil) && (a.Settings == nil || same(*a.Settings, *b.Settings)) &&
		maps.EqualFunc(a.Models, b.Models, same) &&
		maps.EqualFunc(a.Overrides, b.Overrides, same) &&
		maps.EqualFunc(a.Resolved, b.Resolved, same)
}
