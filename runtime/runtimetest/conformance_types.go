package runtimetest

import (
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// conformTypes holds that every element type passes unchanged to the last bit,
// NaN payloads and denormals included, in matrices, scalars and empty tensors.
func conformTypes(t *testing.T, engine runtime.Engine) {
	for _, typ := range runtime.DataTypes() {
		t.Run(typ.String(), func(t *testing.T) {
			low := strings.ToLower(typ.String())
			matrix := OpenFixture(t, engine, "identity_"+low)
			spec := runtime.TensorSpec{Name: "x", Type: typ, Shape: []int64{runtime.Dynamic, runtime.Dynamic}}
			wantSignature(t, matrix, spec)
			for _, shape := range [][]int64{{1, 1}, {3, 5}, {0, 4}, {4, 0}, {0, 0}, {257, 3}} {
				in := Pattern("x", typ, shape)
				want := in
				want.Name = "y"
				wantTensors(t, run(t, matrix, nil, in), want)
			}

			scalar := OpenFixture(t, engine, "scalar_"+low)
			wantSignature(t, scalar, runtime.TensorSpec{Name: "x", Type: typ, Shape: []int64{}})
			for _, shape := range [][]int64{{}, {1}} {
				in := Pattern("x", typ, shape)
				want := in
				want.Name, want.Shape = "y", []int64{}
				wantTensors(t, run(t, scalar, nil, in), want)
			}
		})
	}
	t.Run("any bytes", func(t *testing.T) {
		session := OpenFixture(t, engine, "identity_bytes")
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		elements := []string{"", "\x00", "a\x00b", "\xff\xfe", string(every), strings.Repeat("long\x00", 1<<16), ""}
		in := BYTES("x", []int64{7, 1}, elements...)
		want := BYTES("y", []int64{7, 1}, elements...)
		wantTensors(t, run(t, session, nil, in), want)
	})
}

func wantSignature(t *testing.T, session runtime.Session, input runtime.TensorSpec) {
	t.Helper()
	output := input
	output.Name = "y"
	want := &runtime.Signature{Inputs: []runtime.TensorSpec{input}, Outputs: []runtime.TensorSpec{output}}
	if got := session.Signature(); !got.Equal(want) {
		t.Errorf("got signature %+v, want %+v", got, want)
	}
}

// Pattern returns a tensor of the type and shape whose elements run through
// bit patterns of all kinds. It panics where the shape is not one.
func Pattern(name string, typ runtime.DataType, shape []int64) runtime.Tensor {
	n, err := runtime.Elements(shape)
	if err != nil {
		panic("runtimetest: " + err.Error())
	}
	t := runtime.Tensor{Name: name, Type: typ, Shape: shape}
	if typ == runtime.BYTES {
		t.Strings = make([][]byte, n)
		for i := range t.Strings {
			t.Strings[i] = []byte(strings.Repeat("é", i%5))
		}
		return t
	}
	t.Data = make([]byte, n*int64(typ.Size()))
	state := uint32(1)
	for i := range t.Data {
		state = state*1664525 + 1013904223
		t.Data[i] = byte(state >> 24)
		if typ == runtime.BOOL {
			t.Data[i] &= 1
		}
	}
	return t
}
