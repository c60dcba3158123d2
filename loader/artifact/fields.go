package artifact

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

var (
	rawMessage      = reflect.TypeFor[json.RawMessage]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// checkFields holds a JSON document against the fields of T. encoding/json
// alone takes a duplicate key (the last wins) and a key in another case, which
// lets two readers of one manifest see two different manifests.
func checkFields[T any](body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := checkValue(dec, reflect.TypeFor[T](), ""); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the document at byte %d", dec.InputOffset())
	}
	return nil
}

func checkValue(dec *json.Decoder, t reflect.Type, at string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	kind := t.Kind()
	if t == rawMessage || reflect.PointerTo(t).Implements(textUnmarshaler) {
		kind = reflect.Invalid
	}
	switch kind {
	case reflect.Struct, reflect.Map:
		return checkObject(dec, t, at)
	case reflect.Slice:
		if err := expect(dec, '[', at); err != nil {
			return err
		}
		for i := 0; dec.More(); i++ {
			if err := checkValue(dec, t.Elem(), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		_, err := dec.Token()
		return located(dec, at, err)
	default:
		var skipped json.RawMessage
		return located(dec, at, dec.Decode(&skipped))
	}
}

func checkObject(dec *json.Decoder, t reflect.Type, at string) error {
	if err := expect(dec, '{', at); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return located(dec, at, err)
		}
		key, _ := token.(string) // a decoder gives keys as strings only
		path := strings.TrimPrefix(at+"."+clip(key), ".")
		if seen[key] {
			return fmt.Errorf("%s: is there twice", path)
		}
		seen[key] = true
		var elem reflect.Type
		if t.Kind() == reflect.Map {
			elem = t.Elem()
		} else if elem = fieldType(t, key); elem == nil {
			return fmt.Errorf("%s: unknown field", path)
		}
		if err := checkValue(dec, elem, path); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return located(dec, at, err)
}

func fieldType(t reflect.Type, key string) reflect.Type {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == key {
			return t.Field(i).Type
		}
	}
	return nil
}

func expect(dec *json.Decoder, want json.Delim, at string) error {
	token, err := dec.Token()
	if err != nil {
		return located(dec, at, err)
	}
	if token != want {
		kind := map[json.Delim]string{'{': "an object", '[': "a list"}[want]
		return fmt.Errorf("%s: want %s", orDocument(at), kind)
	}
	return nil
}

func located(dec *json.Decoder, at string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: byte %d: %w", orDocument(at), dec.InputOffset(), err)
}

func orDocument(at string) string {
	if at == "" {
		return "document"
	}
	return at
}
