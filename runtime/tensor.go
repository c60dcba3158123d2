package runtime

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Dynamic marks a dimension whose size is known only from a request.
const Dynamic int64 = -1

// Tensor is a dense, row-major, little-endian array with a name.
//
// For every type but BYTES, Data holds Elements(Shape) times Type.Size()
// bytes and Strings is nil. For BYTES, Strings holds Elements(Shape) elements
// and Data is nil. A Tensor does not own its memory: who made it says how long
// it may be read.
type Tensor struct {
	Name    string
	Type    DataType
	Shape   []int64
	Data    []byte
	Strings [][]byte
}

// Elements returns the number of elements of the tensor, or an error where
// its shape is not one (see Elements).
func (t *Tensor) Elements() (int64, error) { return Elements(t.Shape) }

// Elements multiplies the sizes of a shape: 1 for a scalar's empty shape, 0
// when any size is 0. A negative size, or a product over what an int64 can
// hold, is an error even where another size is 0.
func Elements(shape []int64) (int64, error) {
	n := int64(1)
	zero := false
	for i, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %s: size %d at dimension %d is negative", FormatShape(shape), d, i)
		}
		if d == 0 {
			zero = true
			continue
		}
		if n > math.MaxInt64/d {
			return 0, fmt.Errorf("shape %s: product of sizes overflows", FormatShape(shape))
		}
		n *= d
	}
	if zero {
		return 0, nil
	}
	return n, nil
}

// ByteSize returns the bytes that a tensor of a fixed-size type and this shape
// takes. BYTES and overflow are errors.
func ByteSize(t DataType, shape []int64) (int64, error) {
	n, err := Elements(shape)
	if err != nil {
		return 0, err
	}
	size := int64(t.Size())
	if size == 0 {
		return 0, fmt.Errorf("%s elements have no fixed size", t)
	}
	if n > math.MaxInt64/size {
		return 0, fmt.Errorf("shape %s of %s: size in bytes overflows", FormatShape(shape), t)
	}
	return n * size, nil
}

// FormatShape prints a shape as clients write it: [2,3], [] for a scalar, -1
// for a dynamic size.
func FormatShape(shape []int64) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range shape {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(d, 10))
	}
	b.WriteByte(']')
	return b.String()
}

func quoted(s string) string {
	const longest = 64
	if len(s) > longest {
		s = s[:longest] + "…"
	}
	return strconv.Quote(s)
}
