package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/segue-serving/segue/runtime"
)

// array reads the rows of one NumPy array.
type array struct {
	name   string
	header header
	data   io.ReadCloser
	row    int64 // bytes
	tensor *runtime.Tensor
	shape  []int64 // of a row, as the model has it
	label  bool
	unit   bool
	output bool
	raw    []byte
}

// bind says which tensor of the model an array is.
func (a *array) bind(spec *runtime.TensorSpec, batched bool) error {
	row := spec.Shape
	if batched {
		row = row[1:]
	}
	if len(a.header.shape) == 0 {
		return fmt.Errorf("array %q has no dimension of rows", clip(a.name))
	}
	have := a.header.shape[1:]
	fits := len(have) == len(row)
	for i := 0; fits && i < len(row); i++ {
		fits = row[i] == runtime.Dynamic || row[i] == have[i]
	}
	a.shape = slices.Clone(have)
	if !fits {
		// [n] for [n,1] and the like.
		wanted, err := runtime.Elements(row)
		got, gotErr := runtime.Elements(have)
		if err != nil || gotErr != nil || wanted != got {
			return fmt.Errorf("array %q has rows of shape %s, the model's have %s", clip(a.name), runtime.FormatShape(have), runtime.FormatShape(row))
		}
		a.shape = slices.Clone(row)
	}
	a.tensor = &runtime.Tensor{Name: spec.Name, Type: spec.Type}
	return nil
}

// prepare checks sizes: the data must be as long as the header says.
func (a *array) prepare(size int64) error {
	claimed, err := a.header.bytes()
	if err != nil {
		return fmt.Errorf("array %q: %w", clip(a.name), err)
	}
	if claimed != size {
		return fmt.Errorf("array %q: %d bytes of data, its header says %d: %w", clip(a.name), size, claimed, io.ErrUnexpectedEOF)
	}
	if len(a.header.shape) == 0 {
		return fmt.Errorf("array %q has no dimension of rows", clip(a.name))
	}
	elements, err := runtime.Elements(a.header.shape[1:])
	if err != nil || elements > MaxRowBytes/max(a.header.size, 8) {
		return fmt.Errorf("array %q has rows of more than the %d bytes allowed", clip(a.name), MaxRowBytes)
	}
	if a.row = elements * a.header.size; a.row == 0 {
		return fmt.Errorf("array %q has rows without a value", clip(a.name))
	}
	return nil
}

// read fills the array's tensor with the next rows.
func (a *array) read(rows int, batched bool) error {
	n := int(a.row) * rows
	a.raw = slices.Grow(a.raw[:0], n)[:n]
	if _, err := io.ReadFull(a.data, a.raw); err != nil {
		return fmt.Errorf("array %q: %w", clip(a.name), unexpected(err))
	}
	if a.tensor == nil {
		return nil
	}
	a.tensor.Shape = a.tensor.Shape[:0]
	if batched {
		a.tensor.Shape = append(a.tensor.Shape, int64(rows))
	}
	a.tensor.Shape = append(a.tensor.Shape, a.shape...)
	if a.header.same(a.tensor.Type) {
		a.tensor.Data = a.raw
		return nil
	}
	elements, err := runtime.Elements(a.tensor.Shape)
	if err != nil {
		return err
	}
	if a.tensor.Type == runtime.BYTES {
		a.tensor.Strings = slices.Grow(a.tensor.Strings[:0], int(elements))[:elements]
	} else {
		size := int(elements) * a.tensor.Type.Size()
		a.tensor.Data = slices.Grow(a.tensor.Data[:0], size)[:size]
	}
	for i := range int(elements) {
		if err := put(a.tensor, i, a.value(i)); err != nil {
			return fmt.Errorf("array %q, element %d of these rows: %w", clip(a.name), i, err)
		}
	}
	return nil
}

func unexpected(err error) error {
	if isEnd(err) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// value is one element of the rows that were read.
func (a *array) value(i int) value {
	at := a.raw[i*int(a.header.size) : (i+1)*int(a.header.size)]
	le := binary.LittleEndian
	var wide [8]byte
	switch a.header.kind {
	case 'S':
		return value{kind: aText, text: bytes.TrimRight(at, "\x00")}
	case 'U':
		var text []byte
		for ; len(at) > 0; at = at[4:] {
			if r := le.Uint32(at); r != 0 {
				text = append(text, string(rune(r))...)
			}
		}
		return value{kind: aText, text: text}
	case 'f':
		switch a.header.size {
		case 2:
			return value{kind: aNumber, number: fromHalf(le.Uint16(at))}
		case 4:
			return value{kind: aNumber, number: float64(math.Float32frombits(le.Uint32(at)))}
		}
		return value{kind: aNumber, number: math.Float64frombits(le.Uint64(at))}
	case 'i':
		if at[len(at)-1]&0x80 != 0 {
			wide = [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		}
	}
	copy(wide[:], at)
	whole := int64(le.Uint64(wide[:]))
	if whole < 0 && a.header.kind == 'u' {
		// Over what an int64 holds: as text it is read for what it is.
		return value{kind: aText, text: strconv.AppendUint(nil, uint64(whole), 10)}
	}
	return value{kind: aWhole, whole: whole}
}

// fromHalf reads an IEEE 754 binary16.
func fromHalf(b uint16) float64 {
	exponent, fraction := int(b>>10&0x1f), float64(b&0x3ff)
	x := math.Ldexp(fraction, -24)
	switch {
	case exponent == 0x1f && fraction != 0:
		return math.NaN()
	case exponent == 0x1f:
		x = math.Inf(1)
	case exponent > 0:
		x = math.Ldexp(1024+fraction, exponent-25)
	}
	if b&0x8000 != 0 {
		return -x
	}
	return x
}
