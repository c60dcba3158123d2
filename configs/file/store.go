package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/segue-serving/segue/configs"
)

// Get returns one key. The index of keys under audit/, status/ and evidence/
// tells one content from another and does not grow.
func (f *Folder) Get(ctx context.Context, key string) (item configs.Item, ok bool, err error) {
	if err := checkKey(key); err != nil {
		return configs.Item{}, false, err
	}
	if !isCounted(key) {
		return f.getState(key)
	}
	err = f.locked(ctx, func(l look) error {
		d, there := l.docs[key]
		if !there {
			return nil
		}
		if d.problem != "" {
			return fmt.Errorf("%s: %s", d.path, d.problem)
		}
		item, ok = l.item(key), true
		return nil
	})
	return item, ok, forbidden(err)
}

func (l look) item(key string) configs.Item {
	known := l.index.Keys[key]
	return configs.Item{Key: key, Value: l.docs[key].value, Index: known.Index, Tool: known.Tool}
}

func (f *Folder) getState(key string) (configs.Item, bool, error) {
	value, err := f.state.read(key)
	if errors.Is(err, fs.ErrNotExist) {
		return configs.Item{}, false, nil
	}
	if err != nil {
		return configs.Item{}, false, forbidden(err)
	}
	if strings.HasPrefix(key, statusPrefix) && !f.state.alive(key) {
		return configs.Item{}, false, nil
	}
	return configs.Item{Key: key, Value: value, Index: versionOf(value)}, true, nil
}

// List returns all keys under a prefix, sorted. A file that is there and
// cannot be read is an item without a value; Get says why.
func (f *Folder) List(ctx context.Context, prefix string) ([]configs.Item, error) {
	var items []configs.Item
	err := f.locked(ctx, func(l look) error {
		for key := range l.docs {
			if strings.HasPrefix(key, prefix) {
				items = append(items, l.item(key))
			}
		}
		return nil
	})
	if err != nil {
		return nil, forbidden(err)
	}
	keys, err := f.state.keys(prefix)
	if err != nil {
		return nil, forbidden(err)
	}
	for _, key := range keys {
		if isCounted(key) {
			continue
		}
		item, ok, err := f.getState(key)
		if err != nil {
			return nil, err
		}
		if ok {
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b configs.Item) int { return strings.Compare(a.Key, b.Key) })
	return items, nil
}

// Apply makes all writes or none: everything is checked and prepared first,
// then each file is renamed into place; where that fails, those before it go
// back to what they were. Documents keep the name of their file, a new one is
// .json where it starts with {, else .yaml.
func (f *Folder) Apply(ctx context.Context, writes ...configs.Write) (at uint64, err error) {
	if len(writes) == 0 {
		return 0, errors.New("nothing to write")
	}
	keys := map[string]bool{}
	for _, w := range writes {
		if err := checkKey(w.Key); err != nil {
			return 0, err
		}
		if name, ok := strings.CutPrefix(w.Key, modelsPrefix); ok && configs.CheckName(name) != nil {
			return 0, fmt.Errorf("%q is not a key: %w", w.Key, configs.CheckName(name))
		}
		if keys[w.Key] {
			return 0, fmt.Errorf("%s is written twice at once", w.Key)
		}
		if w.Delete && w.Index == 0 {
			return 0, fmt.Errorf("delete %s: a deletion must name the index", w.Key)
		}
		keys[w.Key] = true
	}
	err = f.locked(ctx, func(l look) error {
		for _, w := range writes {
			if err := f.checkIndex(l, w); err != nil {
				return err
			}
		}
		if err := f.commit(l, writes); err != nil {
			return err
		}
		x := l.index.clone()
		next := x.Last + 1
		for _, w := range writes {
			switch {
			case !isCounted(w.Key):
			case !w.Delete:
				x.note(w.Key, sumOf(w.Value), next, w.Tool)
			default:
				delete(x.Keys, w.Key)
				x.Last = next
			}
		}
		f.saveIndex(x)
		at = x.Last
		return nil
	})
	if err != nil {
		return 0, forbidden(err)
	}
	if !slices.ContainsFunc(writes, func(w configs.Write) bool { return isCounted(w.Key) }) {
		// Nobody watches these keys: what Get tells of the last one.
		return versionOf(writes[len(writes)-1].Value), nil
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return at, nil
}

// checkIndex refuses a write that was decided on other content.
func (f *Folder) checkIndex(l look, w configs.Write) error {
	var now uint64
	if !isCounted(w.Key) {
		value, err := f.state.read(w.Key)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil {
			now = versionOf(value)
		}
	} else if d, ok := l.docs[w.Key]; ok {
		if d.problem != "" {
			return fmt.Errorf("%s: %s", d.path, d.problem)
		}
		now = l.index.Keys[w.Key].Index
	}
	if now != w.Index {
		return fmt.Errorf("%s is at index %d and not at %d: %w", w.Key, now, w.Index, configs.ErrConflict)
	}
	return nil
}

func (f *Folder) commit(l look, writes []configs.Write) (err error) {
	var changes []staged
	done := 0
	defer func() {
		for i := range changes {
			if err != nil && i < done {
				err = errors.Join(err, changes[i].undo())
			}
			err = errors.Join(err, changes[i].drop())
		}
	}()
	for _, w := range writes {
		value := append([]byte{}, w.Value...) // never nil: nil removes
		if w.Delete {
			if w.Index == 0 {
				continue // not there, as the check saw
			}
			value = nil
		}
		if !isDocument(w.Key) && f.state.inMemory() {
			continue
		}
		s, err := f.stageKey(l, w.Key, value)
		if err != nil {
			return err
		}
		changes = append(changes, s)
	}
	dirs := map[string]bool{}
	for i := range changes {
		if err := changes[i].commit(); err != nil {
			return err
		}
		done++
		dirs[filepath.Dir(changes[i].path)] = true
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		syncDir(dir)
	}
	if f.state.inMemory() {
		f.remember(writes)
	}
	return nil
}

// stageKey prepares a key's file: a document under the name that it has.
func (f *Folder) stageKey(l look, key string, value []byte) (staged, error) {
	if !isDocument(key) {
		path := f.state.path(key)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return staged{}, err
		}
		return stage(path, value, 0o600)
	}
	if d, ok := l.docs[key]; ok {
		return stage(d.path, value, 0o644)
	}
	name := settingsFile
	if key != settingsKey {
		name = strings.TrimPrefix(key, modelsPrefix)
	}
	return stage(filepath.Join(f.dir, name+extension(value)), value, 0o644)
}

// remember makes the writes of keys that lie in memory.
func (f *Folder) remember(writes []configs.Write) {
	for _, w := range writes {
		switch {
		case isDocument(w.Key):
		case w.Delete:
			f.state.set(w.Key, nil)
		default:
			f.state.set(w.Key, append([]byte{}, w.Value...))
		}
	}
}

// forbidden marks an error of the system's permissions as configs.ErrForbidden.
func forbidden(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", configs.ErrForbidden, err)
	}
	return err
}

// extension is that of a new document's file.
func extension(value []byte) string {
	if bytes.HasPrefix(bytes.TrimSpace(value), []byte("{")) {
		return ".json"
	}
	return ".yaml"
}
