package artifact

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// Longest varint or tag; a window read never needs more ahead.
	maxVarint = 10
	// Bytes read at a time. Weights are skipped, not read, so a window larger
	// than this would mostly hold weights.
	windowBytes = 8 << 10
	// Deepest nesting of messages that is followed; protobuf's own readers
	// stop at 100.
	maxDepth = 100
	// How many bytes of names one file may make the reader keep.
	keptBytes = 16 << 20
)

// wire walks a protobuf message that lies in a file, without loading it: a
// model may be 2 GiB, and nearly all of it is weights that are skipped.
type wire struct {
	src    io.ReaderAt
	size   int64
	window []byte // bytes of the file from start on
	start  int64
	buffer [windowBytes]byte
	kept   int
}

// span is a range of bytes of the file that holds one message or string.
type span struct{ pos, end int64 }

func (s span) len() int64 { return s.end - s.pos }

// field is one field of a message: number and type, and its value for a
// varint or its body for bytes.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	value uint64
	body  span
}

func (f *field) is(num protowire.Number, typ protowire.Type) bool {
	return f.num == num && f.typ == typ
}

// fields calls visit with each field of a message in the file's order.
func (w *wire) fields(m span, depth int, visit func(f field) error) error {
	if depth > maxDepth {
		return fmt.Errorf("messages are nested more than %d deep", maxDepth)
	}
	for pos := m.pos; pos < m.end; {
		tag, n, err := w.varint(pos, m.end)
		if err != nil {
			return err
		}
		pos += n
		var f field
		f.num, f.typ = protowire.DecodeTag(tag)
		if f.num < protowire.MinValidNumber {
			return fmt.Errorf("byte %d: field number %d is not one", pos-n, f.num)
		}
		switch f.typ {
		case protowire.VarintType:
			if f.value, n, err = w.varint(pos, m.end); err != nil {
				return err
			}
			pos += n
		case protowire.Fixed32Type:
			pos += 4
		case protowire.Fixed64Type:
			pos += 8
		case protowire.BytesType:
			length, n, err := w.varint(pos, m.end)
			if err != nil {
				return err
			}
			pos += n
			if length > uint64(m.end-pos) {
				return fmt.Errorf("byte %d: a field of %d bytes reaches beyond its message", pos, length)
			}
			f.body = span{pos, pos + int64(length)}
			pos = f.body.end
		default:
			// Groups are not in ONNX, nor is anything that encodes as one.
			return fmt.Errorf("byte %d: wire type %d has no place in an ONNX model", pos, f.typ)
		}
		if pos > m.end {
			return fmt.Errorf("byte %d: a field reaches beyond its message", m.end)
		}
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

func (w *wire) varint(pos, end int64) (v uint64, n int64, err error) {
	b, err := w.peek(pos, min(maxVarint, end-pos))
	if err != nil {
		return 0, 0, err
	}
	v, length := protowire.ConsumeVarint(b)
	if length < 0 {
		return 0, 0, fmt.Errorf("byte %d: %w", pos, protowire.ParseError(length))
	}
	return v, int64(length), nil
}

// peek returns n bytes at pos, valid until the next peek. N is at most
// maxVarint.
func (w *wire) peek(pos, n int64) ([]byte, error) {
	if pos < w.start || pos+n > w.start+int64(len(w.window)) {
		want := min(windowBytes, w.size-pos)
		got, err := w.src.ReadAt(w.buffer[:want], pos)
		if int64(got) < want {
			return nil, fmt.Errorf("read at byte %d: %w", pos, unexpected(err))
		}
		w.window, w.start = w.buffer[:got], pos
	}
	at := pos - w.start
	return w.window[at : at+n], nil
}

// packed calls visit with each varint of a packed field.
func (w *wire) packed(s span, visit func(uint64)) error {
	for pos := s.pos; pos < s.end; {
		v, n, err := w.varint(pos, s.end)
		if err != nil {
			return err
		}
		visit(v)
		pos += n
	}
	return nil
}

func unexpected(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// text reads a name that is kept, at most longest bytes of it.
func (w *wire) text(s span, longest int64) (string, error) {
	if s.len() > longest {
		return "", fmt.Errorf("byte %d: a name of %d bytes, more than the %d allowed", s.pos, s.len(), longest)
	}
	if w.kept += int(s.len()); w.kept > keptBytes {
		return "", fmt.Errorf("names take more than the %d bytes allowed", keptBytes)
	}
	b := make([]byte, s.len())
	if n, err := w.src.ReadAt(b, s.pos); n < len(b) {
		return "", fmt.Errorf("read at byte %d: %w", s.pos, unexpected(err))
	}
	return string(b), nil
}
