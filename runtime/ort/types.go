package ort

import (
	"fmt"

	"github.com/segue-serving/segue/runtime"
)

// elementTypes holds ONNX Runtime's number of each element type at its
// position in runtime's order.
var elementTypes = [...]int32{
	runtime.BOOL: 9, runtime.UINT8: 2, runtime.UINT16: 4, runtime.UINT32: 12, runtime.UINT64: 13,
	runtime.INT8: 3, runtime.INT16: 5, runtime.INT32: 6, runtime.INT64: 7,
	runtime.FP16: 10, runtime.FP32: 1, runtime.FP64: 11, runtime.BF16: 16, runtime.BYTES: 8,
}

// unserved names the element types that ONNX Runtime has and the protocol has
// not.
var unserved = map[int]string{
	14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2",
	20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1", 24: "uint2", 25: "int2", 26: "float8e8m0",
}

var kinds = map[int]string{2: "sequence", 3: "map", 4: "opaque", 5: "sparse tensor", 6: "optional"}

const kindTensor = 1

// dataType translates ONNX Runtime's kind of value and element type, or says
// what cannot be served.
func dataType(kind, element int) (runtime.DataType, error) {
	if kind != kindTensor {
		name, ok := kinds[kind]
		if !ok {
			name = fmt.Sprintf("value of kind %d", kind)
		}
		return runtime.Invalid, fmt.Errorf("a %s cannot be served, only tensors", name)
	}
	for t, number := range elementTypes {
		if t != int(runtime.Invalid) && int(number) == element {
			return runtime.DataType(t), nil
		}
	}
	name, ok := unserved[element]
	if !ok {
		name = fmt.Sprintf("number %d", element)
	}
	return runtime.Invalid, fmt.Errorf("element type %s cannot be served", name)
}
