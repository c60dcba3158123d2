package artifact

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/segue-serving/segue/runtime"
)

// word returns element i of a tensor of a fixed-size type, zero-extended.
func word(t *runtime.Tensor, i int64) uint64 {
	size := int64(t.Type.Size())
	var w [8]byte
	copy(w[:], t.Data[i*size:(i+1)*size])
	return binary.LittleEndian.Uint64(w[:])
}

// float returns element i of a floating-point tensor.
func float(t *runtime.Tensor, i int64) float64 {
	w := word(t, i)
	switch t.Type {
	case runtime.FP64:
		return math.Float64frombits(w)
	case runtime.FP32:
		return float64(math.Float32frombits(uint32(w)))
	case runtime.BF16:
		return float64(math.Float32frombits(uint32(w) << 16))
	default:
		return fromHalf(uint16(w))
	}
}

// appendNumber writes element i as JSON, in the fewest digits that read back
// to the same value.
func appendNumber(b []byte, t *runtime.Tensor, i int64) []byte {
	switch {
	case t.Type == runtime.BOOL:
		return strconv.AppendBool(b, t.Data[i] != 0)
	case t.Type.IsFloat():
		v := float(t, i)
		switch {
		case math.IsNaN(v):
			return append(b, `"NaN"`...)
		case math.IsInf(v, 1):
			return append(b, `"Infinity"`...)
		case math.IsInf(v, -1):
			return append(b, `"-Infinity"`...)
		}
		bits := 32
		if t.Type == runtime.FP64 {
			bits = 64
		}
		return strconv.AppendFloat(b, v, 'g', -1, bits)
	case unsigned(t.Type):
		return strconv.AppendUint(b, word(t, i), 10)
	default:
		unused := 64 - 8*t.Type.Size()
		return strconv.AppendInt(b, int64(word(t, i)<<unused)>>unused, 10)
	}
}

func fromHalf(h uint16) float64 {
	sign := 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	exponent, mantissa := int(h>>10&0x1f), float64(h&0x3ff)
	switch exponent {
	case 0:
		return sign * math.Ldexp(mantissa, -24)
	case 0x1f:
		if mantissa != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	default:
		return sign * math.Ldexp(1024+mantissa, exponent-25)
	}
}

// toHalf rounds to the nearest FP16 or BF16, ties to even; ok is false where
// a finite number would become infinite.
func toHalf(v float64, t runtime.DataType) (bits uint16, ok bool) {
	mantissaBits, bias, top := 10, 15, uint16(0x1f)
	if t == runtime.BF16 {
		mantissaBits, bias, top = 7, 127, uint16(0xff)
	}
	var sign uint16
	if math.Signbit(v) {
		sign = 0x8000
	}
	infinity := sign | top<<mantissaBits
	switch {
	case math.IsNaN(v):
		return infinity | 1<<(mantissaBits-1), true
	case math.IsInf(v, 0):
		return infinity, true
	case v == 0:
		return sign, true
	}
	_, exponent := math.Frexp(v) // |v| = f·2^exponent, f in [0.5, 1)
	exponent = max(exponent-1, 1-bias)
	// In units of the last place, so that a carry out of the mantissa goes
	// into the exponent by itself.
	units := uint64(math.RoundToEven(math.Ldexp(math.Abs(v), mantissaBits-exponent)))
	units += uint64(exponent+bias-1) << mantissaBits
	if units >= uint64(top)<<mantissaBits {
		return infinity, false
	}
	return sign | uint16(units), true
}
