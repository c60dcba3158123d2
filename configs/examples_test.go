package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// examples are all documents below examples, by path.
func examples(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir("examples", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// Artifacts and requests of the quickstart are no documents.
		if d.IsDir() && (d.Name() == "models" || d.Name() == "requests") {
			return fs.SkipDir
		}
		if ext := filepath.Ext(path); !d.IsDir() && (ext == ".yaml" || ext == ".json") {
			all[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func isSettings(path string) bool { return strings.Contains(path, "settings") }

func TestEveryExampleIsTakenWithoutWarning(t *testing.T) {
	for path, text := range examples(t) {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		e := Entry{Name: name, Value: text, Base: filepath.Dir(path)}
		var warnings []Warning
		var err error
		if isSettings(path) {
			_, warnings, err = ParseSettings(e)
		} else {
			var d *Document
			if d, warnings, err = Parse(e); err == nil {
				checkSurvives(t, d)
			}
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if name == "unpinned" {
			if len(warnings) != 1 || !strings.Contains(warnings[0].Message, "no digest") {
				t.Errorf("%s: %v", path, warnings)
			}
		} else if len(warnings) > 0 {
			t.Errorf("%s: %v", path, warnings)
		}
		v, ok := generic(t, text)
		schemaPath := "document"
		if isSettings(path) {
			schemaPath = "settings"
		}
		if !ok {
			t.Errorf("%s: cannot be validated", path)
		} else if err := schemaOf(t, schemaPath).Validate(v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Whoever adds a field shows it.
func TestEveryFieldHasAnExample(t *testing.T) {
	var documents, settings strings.Builder
	for path, text := range examples(t) {
		if isSettings(path) {
			settings.Write(text)
		} else {
			documents.Write(text)
		}
	}
	var shown func(of reflect.Type, in string)
	shown = func(of reflect.Type, in string) {
		for name, field := range fieldsOf(of) {
			if !regexp.MustCompile(`\b` + name + `"?:`).MatchString(in) {
				t.Errorf("no example shows %s of %s", name, of.Name())
			}
			below := of.FieldByIndex(field.index).Type
			if kind := below.Kind(); kind == reflect.Map || kind == reflect.Slice || kind == reflect.Pointer {
				below = below.Elem()
			}
			if below.Kind() == reflect.Struct {
				shown(below, in)
			}
		}
	}
	shown(reflect.TypeFor[Document](), documents.String())
	shown(reflect.TypeFor[Settings](), settings.String())
}

func TestEveryYAMLExampleNamesItsSchema(t *testing.T) {
	for path, text := range examples(t) {
		if filepath.Ext(path) != ".yaml" || strings.Contains(path, "quickstart") {
			continue
		}
		name := "document"
		if isSettings(path) {
			name = "settings"
		}
		line, _, _ := strings.Cut(string(text), "\n")
		schema, ok := strings.CutPrefix(line, "# yaml-language-server: $schema=")
		if !ok || filepath.Base(schema) != name+".schema.json" {
			t.Errorf("%s starts with %q", path, line)
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), schema)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestExampleKeysAreTheDocumentedOnes(t *testing.T) {
	text, err := os.ReadFile("examples/settings/keys.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"example-key-never-use-it", "example-operator-key-never-use-it"} {
		sum := sha256.Sum256([]byte(key))
		if !strings.Contains(string(text), `"`+key+`"`) || !strings.Contains(string(text), hex.EncodeToString(sum[:])) {
			t.Errorf("%s is not there, or not its sum", key)
		}
	}
}
