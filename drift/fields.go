package drift

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// checkFields reports every field of a document that its type does not have,
// or that is there twice, each with its path: encoding/json drops the one and
// takes the last of the other. An error of the JSON itself ends it.
func checkFields(body []byte, document reflect.Type) error {
	w := fieldWalk{dec: json.NewDecoder(bytes.NewReader(body))}
	if err := w.value(document, ""); err != nil {
		w.found.add(fmt.Sprintf("byte %d", w.dec.InputOffset()), "%w", unexpected(err))
	} else if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		w.found.add(fmt.Sprintf("byte %d", w.dec.InputOffset()), "something follows the document")
	}
	return w.found.err()
}

type fieldWalk struct {
	dec   *json.Decoder
	found problems
}

func (w *fieldWalk) value(t reflect.Type, at string) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	token, err := w.dec.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		if t != nil && t.Kind() != reflect.Struct {
			w.found.add(at, "an object has no place here")
			t = nil
		}
		return w.object(t, at)
	case json.Delim('['):
		var elem reflect.Type
		if t != nil && t.Kind() == reflect.Slice {
			elem = t.Elem()
		}
		for i := 0; w.dec.More(); i++ {
			if err := w.value(elem, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		_, err = w.dec.Token()
		return err
	}
	return nil
}

func (w *fieldWalk) object(t reflect.Type, at string) error {
	seen := map[string]bool{}
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // a decoder gives keys as strings only
		path := strings.TrimPrefix(at+"."+clip(key), ".")
		if seen[key] {
			w.found.add(path, "is there twice")
		}
		seen[key] = true
		var field reflect.Type
		if t != nil {
			if field = fieldOf(t, key); field == nil {
				w.found.add(path, "unknown field")
			}
		}
		if err := w.value(field, path); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

// fieldOf is the type of the field with this JSON name, nil where there is
// none.
func fieldOf(t reflect.Type, key string) reflect.Type {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name == key {
			return f.Type
		}
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
