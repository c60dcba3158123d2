package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/segue-serving/segue/runtime"
)

func isEnd(err error) bool { return errors.Is(err, io.EOF) }

// value is one cell of a table, as its file has it.
type value struct {
	kind   kind
	text   []byte
	number float64
	whole  int64
}

type kind uint8

const (
	nothing kind = iota
	aText        // a number too, where its letters say so
	aNumber
	aWhole
)

// put writes a value into element i of a tensor.
func put(t *runtime.Tensor, i int, v value) error {
	if t.Type == runtime.BYTES {
		return putText(t, i, v)
	}
	at := t.Data[i*t.Type.Size():]
	if t.Type == runtime.BOOL {
		return putBool(at, v)
	}
	if v.kind == aText {
		parsed, err := parse(string(v.text), t.Type)
		if err != nil {
			return err
		}
		v = parsed
	}
	if t.Type.IsFloat() {
		return putFloat(at, t.Type, v)
	}
	return putWhole(at, t.Type, v)
}

func putText(t *runtime.Tensor, i int, v value) error {
	switch v.kind {
	case aText, nothing:
		t.Strings[i] = append([]byte{}, v.text...)
		return nil
	}
	return errors.New("is a number, the model's is a text (BYTES)")
}

func putBool(at []byte, v value) error {
	switch s := strings.ToLower(string(v.text)); {
	case v.kind == aText && (s == "true" || s == "1"), v.kind == aWhole && v.whole == 1, v.kind == aNumber && v.number == 1:
		at[0] = 1
	case v.kind == aText && (s == "false" || s == "0"), v.kind == aWhole && v.whole == 0, v.kind == aNumber && v.number == 0:
		at[0] = 0
	default:
		return errors.New("is neither true nor false")
	}
	return nil
}

// parse reads a number as text. An empty one is nothing.
func parse(s string, t runtime.DataType) (value, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return value{}, nil
	}
	if !t.IsFloat() {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return value{kind: aWhole, whole: n}, nil
		}
		if n, err := strconv.ParseUint(s, 10, 64); err == nil && t == runtime.UINT64 {
			return value{kind: aWhole, whole: int64(n)}, nil
		}
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(x, 0) {
		return value{}, fmt.Errorf("%q is not a number", clip(s))
	}
	return value{kind: aNumber, number: x}, nil
}

func putFloat(at []byte, t runtime.DataType, v value) error {
	x := v.number
	switch v.kind {
	case nothing:
		x = math.NaN()
	case aWhole:
		x = float64(v.whole)
	}
	le := binary.LittleEndian
	switch t {
	case runtime.FP32:
		le.PutUint32(at, math.Float32bits(float32(x)))
	case runtime.FP64:
		le.PutUint64(at, math.Float64bits(x))
	case runtime.BF16:
		le.PutUint16(at, brain(float32(x)))
	default:
		le.PutUint16(at, half(x))
	}
	return nil
}

// wholes are the ranges of whole numbers, UINT64 aside.
var wholes = map[runtime.DataType][2]int64{
	runtime.INT8: {math.MinInt8, math.MaxInt8}, runtime.UINT8: {0, math.MaxUint8},
	runtime.INT16: {math.MinInt16, math.MaxInt16}, runtime.UINT16: {0, math.MaxUint16},
	runtime.INT32: {math.MinInt32, math.MaxInt32}, runtime.UINT32: {0, math.MaxUint32},
	runtime.INT64: {math.MinInt64, math.MaxInt64}, runtime.UINT64: {math.MinInt64, math.MaxInt64},
}

func putWhole(at []byte, t runtime.DataType, v value) error {
	switch v.kind {
	case nothing:
		return fmt.Errorf("is missing, which %s cannot say", t)
	case aNumber:
		if v.number != math.Trunc(v.number) || math.Abs(v.number) > 1<<53 {
			return fmt.Errorf("%v is not a whole number", v.number)
		}
		v.whole = int64(v.number)
		if t == runtime.UINT64 && v.whole < 0 {
			return fmt.Errorf("%d is out of the range of %s", v.whole, t)
		}
	}
	if r := wholes[t]; v.whole < r[0] || v.whole > r[1] {
		return fmt.Errorf("%d is out of the range of %s", v.whole, t)
	}
	var wide [8]byte
	binary.LittleEndian.PutUint64(wide[:], uint64(v.whole))
	copy(at[:t.Size()], wide[:])
	return nil
}

// brain rounds to bfloat16, to even.
func brain(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return 0x7fc0
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// half rounds to IEEE 754 binary16, to even.
func half(x float64) uint16 {
	sign := uint16(math.Float64bits(x) >> 48 & 0x8000)
	switch magnitude := math.Abs(x); {
	case x != x:
		return 0x7e00
	case magnitude >= 65520:
		return sign | 0x7c00
	case magnitude < 0x1p-14:
		return sign | uint16(math.RoundToEven(magnitude*0x1p24))
	default:
		fraction, exponent := math.Frexp(magnitude)
		// A fraction that rounds up carries into the exponent, as it should.
		return sign | uint16((exponent+13)<<10+int(math.RoundToEven(fraction*2048)))
	}
}

// clip shortens text from a file for an error message.
func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
