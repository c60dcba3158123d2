package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/segue-serving/segue/configs"
)

// settingsName stands for the settings where a model's name is expected. No
// model can have this name.
const settingsName = "_settings"

// document is one document that was read and accepted: a model's or, where
// name is settingsName, the settings.
type document struct {
	name string
	// from says where it was read, for people.
	from  string
	value []byte
	// model is nil for settings, settings nil for a model.
	model    *configs.Document
	settings *configs.Settings
	warnings []place
	// resolved is the model's document with what the registry has that it
	// follows, nil where it follows none; unresolved is why that is not known.
	resolved   *configs.Document
	unresolved error
}

// key is the document's key in the store.
func (d *document) key() string { return keyOf(d.name) }

func keyOf(name string) string {
	if name == settingsName {
		return "settings"
	}
	return "models/" + name
}

// checkModelName refuses what cannot be a model's name, before it becomes part
// of a key.
func checkModelName(name string) error {
	if err := configs.CheckName(name); err != nil {
		return usageError{err}
	}
	return nil
}

// checkDocumentName is checkModelName, and takes the settings' name too.
func checkDocumentName(name string) error {
	if name == settingsName {
		return nil
	}
	return checkModelName(name)
}

// parse accepts a document or refuses it with all its problems. Name may be
// empty: then the document says which model it is of.
func parse(name, from, base string, value []byte) (*document, error) {
	entry := configs.Entry{Name: name, Value: value, Where: from, Base: base}
	d := &document{name: name, from: from, value: value}
	var warnings []configs.Warning
	var err error
	if name == settingsName {
		entry.Name = ""
		d.settings, warnings, err = configs.ParseSettings(entry)
	} else {
		d.model, warnings, err = configs.Parse(entry)
	}
	if err != nil {
		return nil, refusal(from, err)
	}
	if d.model != nil {
		d.name = d.model.Model
	}
	for _, w := range warnings {
		d.warnings = append(d.warnings, place{File: from, Problem: configs.Problem(w)})
	}
	return d, nil
}

// refusal turns the parser's error into ours.
func refusal(from string, err error) error {
	var problems *configs.Problems
	if !errors.As(err, &problems) {
		return fmt.Errorf("%s: %w", from, err)
	}
	refused := &refusedError{what: from}
	for _, p := range problems.List {
		refused.problems = append(refused.problems, place{File: from, Problem: p})
	}
	if problems.Omitted > 0 {
		refused.problems = append(refused.problems, place{File: from,
			Problem: configs.Problem{Message: fmt.Sprintf("and %d more problems", problems.Omitted)}})
	}
	return refused
}

// maxDocument bounds what is read from a file.
const maxDocument = 1 << 20

// readFile reads and parses FILE; "-" is standard input. The document's own
// name counts and not the file's, except that _settings.yaml and _settings.json
// are settings.
func (c *cli) readFile(path string) (*document, error) {
	from, base, name := path, filepath.Dir(path), ""
	if stem := fileStem(path); stem == settingsName {
		name = settingsName
	}
	if absolute, err := filepath.Abs(base); err == nil {
		base = absolute
	}
	var input io.Reader = c.stdin
	if path == "-" {
		from = "standard input"
	} else {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		input = file
	}
	value, err := io.ReadAll(io.LimitReader(input, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", from, err)
	}
	if len(value) > maxDocument {
		return nil, fmt.Errorf("%s is larger than %s", from, configs.Size(maxDocument))
	}
	return parse(name, from, base, value)
}

// fileStem is a file's name without folder and ending.
func fileStem(path string) string {
	name := filepath.Base(path)
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// problemsOf are the problems of a refusal, nil for nil.
func problemsOf(err error) []place {
	var refused *refusedError
	if errors.As(err, &refused) {
		return refused.problems
	}
	return nil
}
