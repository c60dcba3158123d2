package oip

import (
	"fmt"
	"math"
	"net/http"

	"github.com/segue-serving/segue/runtime"
)

// filler writes the JSON elements of one tensor to its memory.
type filler struct {
	s       *scanner
	input   string // the input's name
	kind    runtime.DataType
	data    []byte   // all elements of a fixed-size type
	strings [][]byte // all elements of BYTES
	next    int      // elements written so far
	base64  bool     // BYTES may be {"b64": "…"} objects
}

// what names the tensor in messages.
func (f *filler) what() string { return "input " + quote(f.input) }

// tensor reads the value that comes next as a tensor of the shape: nested
// lists that agree with it or, where flat is set, also one flat list. A
// scalar's value is bare, or in one list.
func (f *filler) tensor(shape []int64, elements int, flat bool) error {
	if f.s.peek() != '[' {
		if len(shape) == 0 {
			return f.bare()
		}
		return f.s.want(f.what()+": data", "a list")
	}
	if len(shape) < 2 || flat && !f.nestedNext() {
		return f.row(elements)
	}
	return f.nested(shape)
}

// nestedNext reports whether the list that comes next begins with a list.
func (f *filler) nestedNext() bool {
	at := f.s.pos
	f.s.pos++
	nested := f.s.peek() == '['
	f.s.pos = at
	return nested
}

// nested reads lists of lists whose lengths are the sizes of the shape.
func (f *filler) nested(shape []int64) error {
	if f.s.peek() != '[' {
		return f.s.want(fmt.Sprintf("%s: data at element %d", f.what(), f.next), fmt.Sprintf("a list of %d", shape[0]))
	}
	if len(shape) == 1 {
		return f.row(int(shape[0]))
	}
	at := f.s.pos
	f.s.pos++
	for i := int64(0); ; i++ {
		c := f.s.peek()
		if c == ']' {
			if i != shape[0] {
				return f.count(at, int(i), int(shape[0]))
			}
			f.s.pos++
			return nil
		}
		if i == shape[0] {
			return f.count(at, -1, int(shape[0]))
		}
		if err := f.nested(shape[1:]); err != nil {
			return err
		}
		if err := f.separator(i+1 == shape[0], at, int(shape[0])); err != nil {
			return err
		}
	}
}

// separator takes the comma behind an element of a list that began at the
// position at and is to hold n elements, and leaves the bracket that ends it.
func (f *filler) separator(last bool, at, n int) error {
	switch f.s.peek() {
	case ',':
		if last {
			return f.count(at, -1, n)
		}
		f.s.pos++
		if f.s.peek() == ']' {
			return f.s.malformed(f.s.pos, "an element")
		}
		return nil
	case ']':
		return nil
	}
	return f.s.malformed(f.s.pos, "',' or ']'")
}

// count says that the list that began at the position at holds has elements
// instead of want; a negative has stands for more than were wanted.
func (f *filler) count(at, has, want int) error {
	if has < 0 {
		return refuse("%s: the list at byte %d holds more than %d elements", f.what(), at, want)
	}
	return refuse("%s: the list at byte %d holds %d elements, want %d", f.what(), at, has, want)
}

// bare reads one element outside of any list.
func (f *filler) bare() error {
	f.s.peek()
	return f.elements(1, false)
}

// row reads a list of exactly n elements.
func (f *filler) row(n int) error {
	at := f.s.pos
	f.s.pos++
	if n == 0 {
		if f.s.peek() != ']' {
			return f.count(at, -1, 0)
		}
		f.s.pos++
		return nil
	}
	return f.elements(n, true)
}

// elements reads n > 0 elements; inList says that commas part them and a
// bracket ends them.
func (f *filler) elements(n int, inList bool) error {
	switch f.kind {
	case runtime.FP32:
		return f.float32s(n, inList)
	case runtime.FP64:
		return f.float64s(n, inList)
	case runtime.FP16:
		return f.halves(n, inList)
	case runtime.BOOL:
		return f.booleans(n, inList)
	case runtime.BYTES:
		return f.texts(n, inList)
	case runtime.INT8:
		return f.integers(n, inList, math.MinInt8, math.MaxInt8)
	case runtime.INT16:
		return f.integers(n, inList, math.MinInt16, math.MaxInt16)
	case runtime.INT32:
		return f.integers(n, inList, math.MinInt32, math.MaxInt32)
	case runtime.INT64:
		return f.integers(n, inList, math.MinInt64, math.MaxInt64)
	case runtime.UINT8:
		return f.integers(n, inList, 0, math.MaxUint8)
	case runtime.UINT16:
		return f.integers(n, inList, 0, math.MaxUint16)
	case runtime.UINT32:
		return f.integers(n, inList, 0, math.MaxUint32)
	case runtime.UINT64:
		return f.integers(n, inList, 0, math.MaxUint64)
	}
	return refuse("%s: %s has no JSON form: send it through the binary tensor data extension (binary_data_size)", f.what(), f.kind)
}

// after takes what stands behind element i of n at position at: a comma, or
// the bracket that ends the list. It returns the position of the next element,
// or of what follows the list, and false where the list is not as it should
// be, which listError then explains.
func after(b []byte, at int, last bool) (next int, ok bool) {
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	if at >= len(b) {
		return at, false
	}
	if last {
		return at + 1, b[at] == ']'
	}
	if b[at] != ',' {
		return at, false
	}
	at++
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	return at, true
}

// listError says what is wrong behind element i of a list that is to hold n.
func (f *filler) listError(i, n int) error {
	switch c := f.s.peek(); {
	case c == ']':
		return refuse("%s: the list that ends at byte %d holds %d elements, want %d", f.what(), f.s.pos, i+1, n)
	case c == ',':
		return refuse("%s: the list holds more than %d elements at byte %d", f.what(), n, f.s.pos)
	}
	return f.s.malformed(f.s.pos, "',' or ']'")
}

// elementError says that element i of the current list, which begins at s.pos,
// is not of the tensor's type.
func (f *filler) elementError(i int) error {
	s := f.s
	c := s.peek()
	if _, end := nonFinite(s.b, s.pos); end >= 0 {
		return refuse("%s: element %d at byte %d is %s, which %s cannot hold", f.what(), f.next+i, s.pos, s.b[s.pos:end], f.kind)
	}
	switch {
	case c == ']' && i > 0:
		return s.malformed(s.pos, "an element")
	case c == ']':
		return refuse("%s: the list that ends at byte %d is empty", f.what(), s.pos)
	case f.kind != runtime.BYTES && (c == '-' || c >= '0' && c <= '9'):
		_, _, end, form := scanNumber(s.b, s.pos)
		if end < 0 {
			return s.badNumber(^end)
		}
		if form&real != 0 && !f.kind.IsFloat() {
			return refuse("%s: element %d at byte %d has a fraction or an exponent, which %s does not take", f.what(), f.next+i, s.pos, f.kind)
		}
		return refuse("%s: element %d at byte %d is out of the range of %s", f.what(), f.next+i, s.pos, f.kind)
	}
	if s.kind() == noValue {
		return s.malformed(s.pos, "an element of "+f.kind.String())
	}
	return refuse("%s: element %d at byte %d is %s, want %s", f.what(), f.next+i, s.pos, s.kind(), wanted(f.kind))
}

// wanted names what a data type's elements look like in JSON.
func wanted(kind runtime.DataType) string {
	switch {
	case kind == runtime.BOOL:
		return "true, false, 0 or 1"
	case kind == runtime.BYTES:
		return "a string"
	case kind.IsFloat():
		return "a number"
	}
	return "an integer"
}

func tooLarge(what string, size, limit int64) error {
	return refuseStatus(http.StatusRequestEntityTooLarge, "%s takes %d bytes, over the limit of %d", what, size, limit)
}
