package drift

import (
	"encoding/binary"
	"math"

	"github.com/segue-serving/segue/runtime"
)

// numbers reads len(to) elements of a tensor from element i on.
func numbers(to []float64, t *runtime.Tensor, i int) {
	le := binary.LittleEndian
	size := t.Type.Size()
	data := t.Data[i*size : (i+len(to))*size]
	switch t.Type {
	case runtime.FP32:
		for j := range to {
			to[j] = float64(math.Float32frombits(le.Uint32(data[4*j:])))
		}
	case runtime.FP64:
		for j := range to {
			to[j] = math.Float64frombits(le.Uint64(data[8*j:]))
		}
	case runtime.FP16:
		for j := range to {
			to[j] = half(le.Uint16(data[2*j:]))
		}
	case runtime.BF16:
		for j := range to {
			to[j] = float64(math.Float32frombits(uint32(le.Uint16(data[2*j:])) << 16))
		}
	case runtime.BOOL, runtime.UINT8:
		for j := range to {
			to[j] = float64(data[j])
		}
	case runtime.INT8:
		for j := range to {
			to[j] = float64(int8(data[j]))
		}
	case runtime.UINT16:
		for j := range to {
			to[j] = float64(le.Uint16(data[2*j:]))
		}
	case runtime.INT16:
		for j := range to {
			to[j] = float64(int16(le.Uint16(data[2*j:])))
		}
	case runtime.UINT32:
		for j := range to {
			to[j] = float64(le.Uint32(data[4*j:]))
		}
	case runtime.INT32:
		for j := range to {
			to[j] = float64(int32(le.Uint32(data[4*j:])))
		}
	case runtime.UINT64:
		for j := range to {
			to[j] = float64(le.Uint64(data[8*j:]))
		}
	default: // INT64
		for j := range to {
			to[j] = float64(int64(le.Uint64(data[8*j:])))
		}
	}
}

// half reads an IEEE 754 binary16.
func half(b uint16) float64 {
	exponent, fraction := int(b>>10&0x1f), float64(b&0x3ff)
	var x float64
	switch exponent {
	case 0:
		x = math.Ldexp(fraction, -24)
	case 0x1f:
		x = math.Inf(1)
		if fraction != 0 {
			return math.NaN()
		}
	default:
		x = math.Ldexp(1024+fraction, exponent-25)
	}
	if b&0x8000 != 0 {
		return -x
	}
	return x
}
