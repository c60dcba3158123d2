package artifact

import (
	"errors"
	"math"
)

// elemBits are the sizes of ONNX's element types (TensorProto.DataType) in bits;
// those of less than a byte are packed. Types that are not here may come.
var elemBits = map[uint64]uint64{
	1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
	17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8,
}

// elemString is the type of texts, which only lie inside a model.
const elemString = 8

// extent is how much a tensor holds: without any size it is a scalar.
type extent struct {
	elemType uint64
	sizes    bool
	product  uint64
	overflow bool
}

// add takes one size of the shape.
func (e *extent) add(size uint64) {
	if !e.sizes {
		e.sizes, e.product = true, 1
	}
	if size > math.MaxInt64 || e.product != 0 && size > math.MaxInt64/e.product {
		e.overflow = true // a negative size is as large as this
		return
	}
	e.product *= size
}

// bytes is the size of the data; known is false for a type of the future.
func (e *extent) bytes() (n int64, known bool, err error) {
	if e.elemType == elemString {
		return 0, false, errors.New("a tensor of texts cannot lie outside the model")
	}
	bits, known := elemBits[e.elemType]
	if !known {
		return 0, false, nil
	}
	elements := uint64(1)
	if e.sizes {
		elements = e.product
	}
	if e.overflow || elements > (math.MaxInt64-7)/bits {
		return 0, false, errors.New("its shape has more elements than can be counted")
	}
	return int64((elements*bits + 7) / 8), true, nil
}
