package drift

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// columns is a signature of FP32 rows of this many values, and no output.
func columns(k int64) *runtime.Signature {
	return &runtime.Signature{
		Inputs:  []runtime.TensorSpec{{Name: "x", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, k}}},
		Outputs: []runtime.TensorSpec{{Name: "y", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, 1}}},
	}
}

// floats32 is a tensor of these values, in rows of k.
func floats32(name string, k int64, values ...float64) runtime.Tensor {
	t := runtime.Tensor{Name: name, Type: runtime.FP32, Shape: []int64{int64(len(values)) / k, k}}
	for _, x := range values {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(float32(x)))
	}
	return t
}

func texts(name string, values ...string) runtime.Tensor {
	t := runtime.Tensor{Name: name, Type: runtime.BYTES, Shape: []int64{int64(len(values))}}
	for _, x := range values {
		t.Strings = append(t.Strings, []byte(x))
	}
	return t
}

func generator(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(20260302, seed)) }

// draw makes n values.
func draw(n int, next func() float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = next()
	}
	return values
}

// profiled builds a profile of these batches of inputs.
func profiled(t testing.TB, signature *runtime.Signature, o Options, batches ...[]runtime.Tensor) *Profile {
	t.Helper()
	b, err := NewBuilder(signature, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, inputs := range batches {
		if err := b.Add(Rows{Inputs: inputs}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := b.Profile()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func windowOf(t testing.TB, p *Profile, inputs ...runtime.Tensor) *Window {
	t.Helper()
	w := p.NewWindow()
	if err := w.Add(inputs, nil, 0); err != nil {
		t.Fatal(err)
	}
	return w
}
