package artifact

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/segue-serving/segue/runtime"
)

const (
	// Most inputs or outputs that a graph may declare; weights listed as
	// inputs count.
	maxValues = 1 << 16
	// Highest rank that is read; ONNX Runtime's own operators stop far below.
	maxRank = 64
)

// onnxTypes maps TensorProto.DataType to the protocol's types.
var onnxTypes = map[uint64]runtime.DataType{
	1: runtime.FP32, 2: runtime.UINT8, 3: runtime.INT8, 4: runtime.UINT16, 5: runtime.INT16,
	6: runtime.INT32, 7: runtime.INT64, 8: runtime.BYTES, 9: runtime.BOOL, 10: runtime.FP16,
	11: runtime.FP64, 12: runtime.UINT32, 13: runtime.UINT64, 16: runtime.BF16,
}

// unservedTypes names the element types that the protocol has no name for.
var unservedTypes = map[uint64]string{
	0: "of no type", 14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
	19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1", 24: "float8e8m0",
	25: "uint2", 26: "int2",
}

// unservedKinds names the fields of TypeProto that are not tensors.
var unservedKinds = map[protowire.Number]string{4: "a sequence", 5: "a map", 8: "a sparse tensor", 9: "an optional"}

// value reads a ValueInfoProto.
func (r *onnxReader) value(m span, depth int) (value, error) {
	if len(r.found.inputs) >= maxValues || len(r.found.outputs) >= maxValues {
		return value{}, fmt.Errorf("more than the %d inputs or outputs allowed", maxValues)
	}
	v := value{unserved: unservedTypes[0]}
	err := r.fields(m, depth, func(f field) (err error) {
		switch {
		case f.is(1, protowire.BytesType): // name
			v.spec.Name, err = r.text(f.body, maxNameBytes)
		case f.is(2, protowire.BytesType): // type
			err = r.valueType(f.body, depth+1, &v)
		}
		return err
	})
	return v, err
}

// valueType reads a TypeProto.
func (r *onnxReader) valueType(m span, depth int, v *value) error {
	return r.fields(m, depth, func(f field) error {
		if kind := unservedKinds[f.num]; kind != "" && f.typ == protowire.BytesType {
			v.unserved = kind
			return nil
		}
		if !f.is(1, protowire.BytesType) {
			return nil
		}
		v.noShape = true
		return r.fields(f.body, depth+1, func(f field) error { // tensor_type
			switch {
			case f.is(1, protowire.VarintType): // elem_type
				served, ok := onnxTypes[f.value]
				v.spec.Type, v.unserved = served, ""
				if !ok {
					if v.unserved = unservedTypes[f.value]; v.unserved == "" {
						v.unserved = fmt.Sprintf("of element type %d", f.value)
					}
				}
			case f.is(2, protowire.BytesType): // shape
				v.noShape, v.spec.Shape = false, []int64{}
				return r.shape(f.body, depth+2, v)
			}
			return nil
		})
	})
}

// shape reads a TensorShapeProto: a dimension without a fixed size, or with a
// negative one as some exporters write, is dynamic.
func (r *onnxReader) shape(m span, depth int, v *value) error {
	return r.fields(m, depth, func(f field) error {
		if !f.is(1, protowire.BytesType) {
			return nil
		}
		if len(v.spec.Shape) >= maxRank {
			return fmt.Errorf("%q has a rank above the %d allowed", clip(v.spec.Name), maxRank)
		}
		size := runtime.Dynamic
		err := r.fields(f.body, depth+1, func(f field) error {
			switch {
			case f.is(1, protowire.VarintType): // dim_value
				size = max(int64(f.value), runtime.Dynamic)
			case f.is(2, protowire.BytesType): // dim_param, of the same oneof
				size = runtime.Dynamic
			}
			return nil
		})
		v.spec.Shape = append(v.spec.Shape, size)
		return err
	})
}
