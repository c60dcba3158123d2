package artifact

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/segue-serving/segue/runtime"
)

// TensorData is a tensor as a manifest writes it: Data is one flat JSON list
// in row-major order, of numbers, for BOOL of true and false, for BYTES of
// strings (so elements are UTF-8). FP16 and BF16 are written as numbers. What
// JSON has no number for is written as the strings "NaN", "Infinity" and
// "-Infinity".
type TensorData struct {
	Name  string           `json:"name"`
	Type  runtime.DataType `json:"datatype"`
	Shape []int64          `json:"shape"`
	Data  json.RawMessage  `json:"data"`
}

// Tensor decodes the data. The tensor's memory is Go's, so an engine that
// wants other memory needs a copy. A number that the type cannot hold and a
// count that does not match the shape are errors.
func (d *TensorData) Tensor() (runtime.Tensor, error) {
	t := runtime.Tensor{Name: d.Name, Type: d.Type, Shape: d.Shape}
	want, err := t.Elements()
	if err != nil {
		return runtime.Tensor{}, err
	}
	if d.Type == runtime.Invalid {
		return runtime.Tensor{}, errors.New("datatype: is missing")
	}
	count := int64(0)
	err = eachElement(d.Data, func(element []byte) error {
		count++
		if count > want {
			return nil // counted for the message, not kept
		}
		return appendElement(&t, element)
	})
	if err != nil {
		return runtime.Tensor{}, fmt.Errorf("data[%d]: %w", max(count-1, 0), err)
	}
	if count != want {
		return runtime.Tensor{}, fmt.Errorf("data: %d elements for shape %s", count, runtime.FormatShape(d.Shape))
	}
	return t, nil
}

// NewTensorData writes a tensor down exactly: decoding gives its bytes back
// (NaNs become the one NaN of JSON readers). BYTES elements must be UTF-8.
func NewTensorData(t *runtime.Tensor) (TensorData, error) {
	n, err := t.Elements()
	if err != nil {
		return TensorData{}, fmt.Errorf("%s: %w", t.Name, err)
	}
	data := []byte{'['}
	for i := range n {
		if i > 0 {
			data = append(data, ',')
		}
		if t.Type == runtime.BYTES {
			if !utf8.Valid(t.Strings[i]) {
				return TensorData{}, fmt.Errorf("%s: element %d is not UTF-8", t.Name, i)
			}
			quoted, err := json.Marshal(string(t.Strings[i]))
			if err != nil {
				return TensorData{}, fmt.Errorf("%s: element %d: %w", t.Name, i, err)
			}
			data = append(data, quoted...)
			continue
		}
		data = appendNumber(data, t, i)
	}
	shape := append([]int64{}, t.Shape...)
	return TensorData{Name: t.Name, Type: t.Type, Shape: shape, Data: append(data, ']')}, nil
}

// eachElement calls f with every element of a flat JSON list. List is known
// to be well-formed JSON where it came from a parsed document.
func eachElement(list json.RawMessage, f func([]byte) error) error {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(list), []byte{'['})
	if ok {
		rest, ok = bytes.CutSuffix(rest, []byte{']'})
	}
	if !ok {
		return errors.New("want a flat list")
	}
	if rest = bytes.TrimSpace(rest); len(rest) == 0 {
		return nil
	}
	for {
		end := elementEnd(rest)
		element := bytes.TrimSpace(rest[:end])
		if len(element) == 0 || element[0] == '[' || element[0] == '{' {
			return errors.New("want a flat list of numbers, booleans or strings")
		}
		if err := f(element); err != nil {
			return err
		}
		if end == len(rest) {
			return nil
		}
		rest = rest[end+1:]
	}
}

// elementEnd finds the comma that ends the first element, which is not one
// inside a string.
func elementEnd(rest []byte) int {
	inString := false
	for i := 0; i < len(rest); i++ {
		switch {
		case inString && rest[i] == '\\':
			i++
		case rest[i] == '"':
			inString = !inString
		case rest[i] == ',' && !inString:
			return i
		}
	}
	return len(rest)
}

func appendElement(t *runtime.Tensor, element []byte) error {
	text := string(element)
	switch t.Type {
	case runtime.BYTES:
		if element[0] != '"' {
			return fmt.Errorf("%s: want a string", clip(text))
		}
		var s string
		if err := json.Unmarshal(element, &s); err != nil {
			return err
		}
		t.Strings = append(t.Strings, []byte(s))
		return nil
	case runtime.BOOL:
		switch text {
		case "true":
			t.Data = append(t.Data, 1)
		case "false":
			t.Data = append(t.Data, 0)
		default:
			return fmt.Errorf("%s: want true or false", clip(text))
		}
		return nil
	case runtime.FP16, runtime.BF16, runtime.FP32, runtime.FP64:
		return appendFloat(t, element)
	}
	bits := t.Type.Size() * 8
	var v uint64
	var err error
	if unsigned(t.Type) {
		v, err = strconv.ParseUint(text, 10, bits)
	} else {
		var signed int64
		signed, err = strconv.ParseInt(text, 10, bits)
		v = uint64(signed)
	}
	if err != nil {
		return fmt.Errorf("%s: not a whole number that %s holds", clip(text), t.Type)
	}
	t.Data = appendLittleEndian(t.Data, v, t.Type.Size())
	return nil
}

func appendFloat(t *runtime.Tensor, element []byte) error {
	text := string(element)
	var v float64
	switch text {
	case `"NaN"`:
		v = math.NaN()
	case `"Infinity"`:
		v = math.Inf(1)
	case `"-Infinity"`:
		v = math.Inf(-1)
	default:
		// A number of JSON starts with a digit or a minus and is never
		// hexadecimal, so ParseFloat's own spellings of NaN stay out.
		if c := element[len(element)-1]; c < '0' || c > '9' {
			return fmt.Errorf(`%s: want a number, "NaN", "Infinity" or "-Infinity"`, clip(text))
		}
		bits := 64
		if t.Type == runtime.FP32 {
			bits = 32
		}
		var err error
		if v, err = strconv.ParseFloat(text, bits); err != nil {
			return fmt.Errorf("%s: not a number that %s holds", clip(text), t.Type)
		}
	}
	switch t.Type {
	case runtime.FP64:
		t.Data = binary.LittleEndian.AppendUint64(t.Data, math.Float64bits(v))
	case runtime.FP32:
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(float32(v)))
	default:
		half, ok := toHalf(v, t.Type)
		if !ok {
			return fmt.Errorf("%s: not a number that %s holds", clip(text), t.Type)
		}
		t.Data = binary.LittleEndian.AppendUint16(t.Data, half)
	}
	return nil
}

func unsigned(t runtime.DataType) bool { return t >= runtime.UINT8 && t <= runtime.UINT64 }

func appendLittleEndian(b []byte, v uint64, size int) []byte {
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], v)
	return append(b, word[:size]...)
}
