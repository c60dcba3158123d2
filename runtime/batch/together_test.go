package batch

import (
	"context"
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// TestModelsWhoseRowsCannotShareARunAreRecognised has each model cost the same
// for any number of rows, so that nothing else speaks against a batch.
func TestModelsWhoseRowsCannotShareARunAreRecognised(t *testing.T) {
	row := func(typ runtime.DataType, shape ...int64) []runtime.TensorSpec {
		return []runtime.TensorSpec{spec("t", typ, shape...)}
	}
	echo := func(in []runtime.Tensor) []runtime.Tensor { return []runtime.Tensor{runtimetest.Clone(in[0])} }
	for name, m := range map[string]struct {
		in, out []runtime.TensorSpec
		answer  func(in []runtime.Tensor) []runtime.Tensor
		says    string
	}{
		"each row by itself":  {row(runtime.FP32, -1, 4), row(runtime.FP32, -1, 4), echo, "on: 8 rows"},
		"halves":              {row(runtime.FP16, -1, 4), row(runtime.FP16, -1, 4), echo, "on: 8 rows"},
		"strings":             {row(runtime.BYTES, -1), row(runtime.BYTES, -1), echo, "on: 8 rows"},
		"a fixed first size":  {row(runtime.FP32, 1, 4), row(runtime.FP32, 1, 4), echo, "no dynamic first size"},
		"a scalar output":     {row(runtime.FP32, -1, 4), row(runtime.FP32), func([]runtime.Tensor) []runtime.Tensor { return []runtime.Tensor{runtimetest.FP32("t", []int64{}, 1)} }, "no dynamic first size"},
		"as many rows always": {row(runtime.FP32, -1, 4), row(runtime.FP32, -1), func([]runtime.Tensor) []runtime.Tensor { return []runtime.Tensor{runtimetest.FP32("t", []int64{1}, 1)} }, "two give [1]"},
		"rows added up": {row(runtime.FP32, -1, 4), row(runtime.FP32, -1, 4), func(in []runtime.Tensor) []runtime.Tensor {
			out := runtimetest.Clone(in[0])
			if rows := len(out.Data) / 16; rows > 1 {
				values := floats(out.Data)
				binary.LittleEndian.PutUint32(out.Data[4*4:], math.Float32bits(values[0]+values[4]+1))
			}
			return []runtime.Tensor{out}
		}, "rows change each other's results"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				executor := New(Options{Permits: 1})
				defer executor.Close()
				session := runtimetest.NewSession(&runtimetest.Fake{
					Signature: runtime.Signature{Inputs: m.in, Outputs: m.out},
					Func: func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
						time.Sleep(5 * ms)
						return m.answer(in), nil
					},
				})
				instance := executor.Instance(session, InstanceOptions{MaxBatch: 8})
				if _, err := instance.Warm(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				if got := instance.Plan().Batching; !strings.Contains(got, m.says) {
					t.Errorf("batching is %q, want it to say %q", got, m.says)
				}
				if err := instance.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestFloatsOfAllSizesAreRead compares with numbers whose bits are known.
func TestFloatsOfAllSizesAreRead(t *testing.T) {
	for bits, want := range map[uint16]float64{0x3c00: 1, 0xc000: -2, 0x3555: 0.333251953125, 0x0001: math.Ldexp(1, -24),
		0x7bff: 65504, 0x7c00: math.Inf(1), 0xfc00: math.Inf(-1), 0x8000: 0} {
		if got := float(runtime.FP16, binary.LittleEndian.AppendUint16(nil, bits)); got != want {
			t.Errorf("half %#04x is %v, want %v", bits, got, want)
		}
	}
	if got := float(runtime.FP16, []byte{1, 0x7c}); !math.IsNaN(got) {
		t.Errorf("got %v, want NaN", got)
	}
	if got := float(runtime.BF16, []byte{0x40, 0xc0}); got != -3 {
		t.Errorf("got %v, want -3", got)
	}
	if got := float(runtime.FP64, binary.LittleEndian.AppendUint64(nil, math.Float64bits(1e-300))); got != 1e-300 {
		t.Errorf("got %v, want 1e-300", got)
	}
}

// TestAModelWhoseValuesDecideItsSizesAnswers has the made-up rows of the warm-up
// give a size that others do not.
func TestAModelWhoseValuesDecideItsSizesAnswers(t *testing.T) {
	executor := New(Options{Permits: 1})
	defer executor.Close()
	session := runtimetest.NewSession(&runtimetest.Fake{
		Signature: runtime.Signature{
			Inputs:  []runtime.TensorSpec{spec("x", runtime.FP32, -1)},
			Outputs: []runtime.TensorSpec{spec("y", runtime.FP32, -1)},
		},
		Func: func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
			return []runtime.Tensor{runtimetest.FP32("y", []int64{1}, floats(in[0].Data)[0])}, nil
		},
	})
	instance := executor.Instance(session, InstanceOptions{MaxBatch: 8})
	if _, err := instance.Warm(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if !instance.Plan().Prepared {
		t.Fatal("runs are not prepared")
	}
	for range 2 {
		var call Call
		shape := []int64{3}
		data := instance.Slot(&call, 0, shape)
		sent := runtimetest.FP32("x", shape, 7, 7, 7)
		if data != nil {
			copy(data, sent.Data)
			sent.Data = data
		}
		call.Inputs = []runtime.Tensor{sent}
		res, err := instance.Run(t.Context(), &call)
		if err != nil || len(res.Tensors[0].Shape) != 1 || res.Tensors[0].Shape[0] != 1 || floats(res.Tensors[0].Data)[0] != 7 {
			t.Fatalf("got %v, %v", res.Tensors, err)
		}
		res.Release()
		call.Done()
	}
	if err := instance.Close(); err != nil {
		t.Error(err)
	}
}
