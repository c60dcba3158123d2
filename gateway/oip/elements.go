package oip

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/segue-serving/segue/runtime"
)

// writer appends the elements of one tensor as JSON.
type writer struct {
	tensor    *runtime.Tensor
	nonFinite NonFinite
	base64    bool   // BYTES as {"b64": "…"} objects
	remedy    string // what messages suggest where JSON cannot hold an element
}

// Suggestions for values that JSON cannot hold.
const (
	askBinary    = "ask for it as binary data (parameter binary_data)"
	askInference = "ask for it through the inference protocol (/v2) as binary data"
)

// flat appends elements first to first+n of the tensor, parted by commas.
func (w *writer) flat(dst []byte, first, n int) ([]byte, error) {
	t := w.tensor
	switch t.Type {
	case runtime.FP32:
		for i := first; i < first+n; i++ {
			bits := binary.LittleEndian.Uint32(t.Data[4*i:])
			dst = comma(dst, i > first)
			if bits&0x7f800000 == 0x7f800000 {
				var err error
				if dst, err = w.notFinite(dst, i, float64(math.Float32frombits(bits))); err != nil {
					return dst, err
				}
				continue
			}
			dst = appendFloat(dst, float64(math.Float32frombits(bits)), 32)
		}
	case runtime.FP64, runtime.FP16:
		for i := first; i < first+n; i++ {
			value, size := 0.0, 64
			if t.Type == runtime.FP64 {
				value = math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:]))
			} else {
				value, size = float64(floatOfHalf(binary.LittleEndian.Uint16(t.Data[2*i:]))), 32
			}
			dst = comma(dst, i > first)
			if math.IsNaN(value) || math.IsInf(value, 0) {
				var err error
				if dst, err = w.notFinite(dst, i, value); err != nil {
					return dst, err
				}
				continue
			}
			dst = appendFloat(dst, value, size)
		}
	case runtime.BYTES:
		for i := first; i < first+n; i++ {
			dst = comma(dst, i > first)
			var err error
			if dst, err = w.text(dst, i); err != nil {
				return dst, err
			}
		}
	case runtime.BOOL:
		for i := first; i < first+n; i++ {
			dst = strconv.AppendBool(comma(dst, i > first), t.Data[i] != 0)
		}
	case runtime.BF16:
		return dst, refuse("output %s: BF16 has no JSON form: %s", quote(t.Name), w.remedy)
	default:
		for i := first; i < first+n; i++ {
			dst = appendInteger(comma(dst, i > first), t.Type, t.Data, i)
		}
	}
	return dst, nil
}

func comma(dst []byte, wanted bool) []byte {
	if wanted {
		return append(dst, ',')
	}
	return dst
}

// nested appends lists of lists that follow the shape, beginning at element
// first; without sizes, one bare element.
func (w *writer) nested(dst []byte, shape []int64, first int) ([]byte, error) {
	if len(shape) == 0 {
		return w.flat(dst, first, 1)
	}
	dst = append(dst, '[')
	var err error
	if len(shape) == 1 {
		if dst, err = w.flat(dst, first, int(shape[0])); err != nil {
			return dst, err
		}
		return append(dst, ']'), nil
	}
	stride := 1
	for _, size := range shape[1:] {
		stride *= int(size)
	}
	for i := range int(shape[0]) {
		if dst, err = w.nested(comma(dst, i > 0), shape[1:], first+i*stride); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func (w *writer) notFinite(dst []byte, i int, value float64) ([]byte, error) {
	name := "NaN"
	switch {
	case math.IsInf(value, 1):
		name = "Infinity"
	case math.IsInf(value, -1):
		name = "-Infinity"
	}
	switch w.nonFinite {
	case NonFiniteNull:
		return append(dst, "null"...), nil
	case NonFiniteLiteral:
		return append(dst, name...), nil
	}
	return dst, refuseStatus(http.StatusInternalServerError, "output %s: element %d is %s, which JSON cannot hold: %s",
		quote(w.tensor.Name), i, name, w.remedy)
}

func (w *writer) text(dst []byte, i int) ([]byte, error) {
	element := w.tensor.Strings[i]
	if w.base64 {
		dst = append(dst, `{"b64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, element)
		return append(dst, `"}`...), nil
	}
	if !utf8.Valid(element) {
		return dst, refuseStatus(http.StatusInternalServerError, "output %s: element %d is not valid UTF-8, which JSON cannot hold: %s",
			quote(w.tensor.Name), i, w.remedy)
	}
	return appendText(dst, element), nil
}

// appendFloat appends the shortest number that reads back as the same float of
// size bits. A whole number keeps a ".0", so that clients in typed languages
// read a float.
func appendFloat(dst []byte, value float64, size int) []byte {
	magnitude := math.Abs(value)
	if magnitude < 1<<24 && magnitude == math.Trunc(magnitude) {
		if math.Signbit(value) {
			dst = append(dst, '-')
		}
		dst = strconv.AppendUint(dst, uint64(magnitude), 10)
		return append(dst, ".0"...)
	}
	format := byte('f')
	if magnitude < 1e-6 || magnitude >= 1e21 {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, value, format, -1, size)
	if format == 'f' && magnitude == math.Trunc(magnitude) {
		dst = append(dst, ".0"...)
	}
	return dst
}

func appendInteger(dst []byte, kind runtime.DataType, data []byte, i int) []byte {
	switch kind {
	case runtime.INT8:
		return strconv.AppendInt(dst, int64(int8(data[i])), 10)
	case runtime.INT16:
		return strconv.AppendInt(dst, int64(int16(binary.LittleEndian.Uint16(data[2*i:]))), 10)
	case runtime.INT32:
		return strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(data[4*i:]))), 10)
	case runtime.INT64:
		return strconv.AppendInt(dst, int64(binary.LittleEndian.Uint64(data[8*i:])), 10)
	case runtime.UINT8:
		return strconv.AppendUint(dst, uint64(data[i]), 10)
	case runtime.UINT16:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint16(data[2*i:])), 10)
	case runtime.UINT32:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(data[4*i:])), 10)
	default:
		return strconv.AppendUint(dst, binary.LittleEndian.Uint64(data[8*i:]), 10)
	}
}
