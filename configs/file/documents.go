package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/segue-serving/segue/configs"
)

const (
	settingsKey  = "settings"
	settingsFile = "_settings"
	modelsPrefix = "models/"
	// maxRead is one byte more than a document may have, so that a longer one
	// is refused for its length and never read whole.
	maxRead = 1<<20 + 1
)

// document is one key that lies in the folder of documents.
type document struct {
	value []byte
	// path is where the file lies; of two files for one key, the first.
	path string
	// problem is Entry.Problem, cause the error behind it, if any.
	problem string
	cause   error
}

// readDocuments reads the whole folder, by key. It fails where the folder
// cannot be listed: then nothing is known about any document.
func readDocuments(dir string) (map[string]document, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	docs := map[string]document{}
	for _, entry := range entries {
		key, name, ok := documentKey(entry.Name())
		if !ok {
			continue
		}
		d, ok := readDocument(filepath.Join(dir, entry.Name()))
		if !ok {
			continue
		}
		if key != settingsKey {
			if err := configs.CheckName(name); err != nil {
				d = document{path: d.path, problem: "rename the file: " + err.Error()}
			}
		}
		if first, ok := docs[key]; ok {
			d = document{path: first.path, problem: fmt.Sprintf("two files for one document, %s and %s: keep one", filepath.Base(first.path), entry.Name())}
		}
		docs[key] = d
	}
	return docs, nil
}

// documentKey is the key of a file's name. It is false for what is no
// document: hidden files (the insides of a ConfigMap, our own temporary ones),
// what editors leave for a moment, other extensions.
func documentKey(file string) (key, name string, ok bool) {
	ext := filepath.Ext(file)
	name = strings.TrimSuffix(file, ext)
	switch {
	case strings.HasPrefix(file, "."), strings.HasPrefix(file, "#"), strings.HasPrefix(file, "~"):
		return "", "", false
	case ext != ".yaml" && ext != ".yml" && ext != ".json":
		return "", "", false
	case name == settingsFile:
		return settingsKey, name, true
	}
	return modelsPrefix + name, name, true
}

// readDocument reads one file. It is false for a folder, and for a file that
// went away since the folder was listed.
func readDocument(path string) (document, bool) {
	d := document{path: path}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(path); err != nil {
			return d, false
		}
		d.problem, d.cause = "a symbolic link that leads nowhere", err
		return d, true
	case err != nil:
		d.problem, d.cause = reason(err), err
		return d, true
	case info.IsDir():
		return d, false
	case !info.Mode().IsRegular():
		// Not opened: a pipe would wait for its writer.
		d.problem = "not a regular file"
		return d, true
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, false
	}
	if err == nil {
		d.value, err = io.ReadAll(io.LimitReader(file, maxRead))
		_ = file.Close() // opened for reading only
	}
	if err != nil {
		d.problem, d.cause, d.value = reason(err), err, nil
	}
	return d, true
}

// reason is an error without the path, which Entry.Where has.
func reason(err error) string {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return "cannot be read: " + p.Err.Error()
	}
	return "cannot be read: " + err.Error()
}
