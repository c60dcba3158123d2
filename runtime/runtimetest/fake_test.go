package runtimetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// TestTheFakeConforms holds the fake to the suite of a real engine, with Go
// functions for the fixtures and the recorded answers for what is left.
func TestTheFakeConforms(t *testing.T) {
	Conformance(t, func(*testing.T) runtime.Engine { return NewEngine(ByName(fixtureFakes())) })
}

func fixtureFakes() map[string]*Fake {
	fakes := map[string]*Fake{}
	tensor := func(name string, typ runtime.DataType, shape ...int64) runtime.TensorSpec {
		return runtime.TensorSpec{Name: name, Type: typ, Shape: shape}
	}
	echo := func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
		out := Clone(in[0])
		out.Name = "y"
		return []runtime.Tensor{out}, nil
	}
	add := func(name string, inputs, outputs []runtime.TensorSpec, f func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error)) {
		fakes[name+".onnx"] = &Fake{Signature: runtime.Signature{Inputs: inputs, Outputs: outputs}, Func: f}
	}
	type specs = []runtime.TensorSpec
	for _, typ := range runtime.DataTypes() {
		low := strings.ToLower(typ.String())
		add("identity_"+low, specs{tensor("x", typ, -1, -1)}, specs{tensor("y", typ, -1, -1)}, echo)
		add("scalar_"+low, specs{tensor("x", typ)}, specs{tensor("y", typ)},
			func(ctx context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
				out, err := echo(ctx, in)
				out[0].Shape = []int64{}
				return out, err
			})
	}
	f32, i64 := runtime.FP32, runtime.INT64
	add("gather", specs{tensor("ids", i64, -1)}, specs{tensor("rows", f32, -1, 3)}, gather)
	add("two_in_two_out", specs{tensor("x", f32, -1, 2), tensor("k", i64, -1)},
		specs{tensor("scaled", f32, -1, 2), tensor("next", i64, -1)}, scale)
	add("passthrough", specs{tensor("x", f32, -1)}, specs{tensor("y", f32, -1), tensor("x", f32, -1)},
		func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
			y := Clone(in[0])
			y.Name = "y"
			for i := 3; i < len(y.Data); i += 4 {
				y.Data[i] ^= 0x80
			}
			return []runtime.Tensor{y, Clone(in[0])}, nil
		})
	add("no_input", nil, specs{tensor("y", f32, 3)}, replay("no_input"))
	add("mlp", specs{tensor("x", f32, -1, 32)}, specs{tensor("y", f32, -1, 3)}, replay("mlp"))
	add("reduce", specs{tensor("x", f32, -1, -1)}, specs{tensor("sums", f32, -1), tensor("mean", f32)}, replay("reduce"))
	add("concat_strings", specs{tensor("a", runtime.BYTES, -1), tensor("b", runtime.BYTES, -1)},
		specs{tensor("c", runtime.BYTES, -1)}, replay("concat_strings"))
	add("log", specs{tensor("x", f32, -1)}, specs{tensor("y", f32, -1)}, func(ctx context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
		if out, err := replay("log")(ctx, in); err == nil {
			return out, nil
		}
		return echo(ctx, in)
	})
	add("nonzero", specs{tensor("x", f32, -1, -1)}, specs{tensor("at", i64, 2, -1)}, replay("nonzero"))
	add("fixed_first", specs{tensor("x", f32, 1, 4)}, specs{tensor("y", f32, 1, 4)}, replay("fixed_first"))
	add("add", specs{tensor("a", f32, -1), tensor("b", f32, -1)}, specs{tensor("sum", f32, -1)}, replay("add"))
	return fakes
}

// replay answers what was recorded for the same inputs.
func replay(model string) func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error) {
	return func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
	answers:
		for _, a := range Answers() {
			if a.Model != model {
				continue
			}
			for i := range in {
				if Diff(in[i], a.Inputs[i]) != "" {
					continue answers
				}
			}
			return a.Outputs, nil
		}
		return nil, errors.New("nothing recorded for these inputs")
	}
}

func gather(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
	var rows []float32
	for at := 0; at < len(in[0].Data); at += 8 {
		id := int64(binary.LittleEndian.Uint64(in[0].Data[at:]))
		if id < -4 || id > 3 {
			return nil, fmt.Errorf("%w: Gather: indices element out of data bounds, idx=%d", runtime.ErrInvalidArgument, id)
		}
		for c := range int64(3) {
			rows = append(rows, float32((id+4)%4*3+c)/4)
		}
	}
	return []runtime.Tensor{FP32("rows", []int64{in[0].Shape[0], 3}, rows...)}, nil
}

func scale(ctx context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
	if out, err := replay("two_in_two_out")(ctx, in); err == nil {
		return out, nil
	}
	// One row of equal numbers w with k = w, or 1, 2 with k = 3.
	k := int64(binary.LittleEndian.Uint64(in[1].Data))
	x, y := float32(k*k), float32(k*k)
	if Diff(in[0], FP32("x", []int64{1, 2}, 1, 2)) == "" {
		x, y = float32(k), float32(2*k)
	}
	return []runtime.Tensor{FP32("scaled", []int64{1, 2}, x, y), INT64("next", []int64{1}, k+1)}, nil
}

func TestTheFakeCountsAndFailsAsTold(t *testing.T) {
	wrong := errors.New("wrong")
	calls := 0
	engine := NewEngine(ByName(map[string]*Fake{
		"zeros": {Signature: runtime.Signature{
			Inputs:  []runtime.TensorSpec{{Name: "x", Type: runtime.FP32, Shape: []int64{-1, 2}}},
			Outputs: []runtime.TensorSpec{{Name: "y", Type: runtime.INT64, Shape: []int64{-1, -1, 3}}, {Name: "s", Type: runtime.BYTES, Shape: []int64{-1}}},
		}, Before: func(context.Context) error {
			if calls++; calls > 1 {
				return wrong
			}
			return nil
		}},
		"refuses": {OpenErr: wrong},
		"sticks":  {CloseErr: wrong},
	}))
	ctx := context.Background()
	if _, err := engine.Open(ctx, "a/refuses", runtime.Options{}); !errors.Is(err, wrong) {
		t.Errorf("got %v, want the open error", err)
	}
	sticks, err := engine.Open(ctx, "a/sticks", runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sticks.Close(); !errors.Is(err, wrong) {
		t.Errorf("got %v, want the close error", err)
	}
	session, err := engine.Open(ctx, "a/zeros", runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := []runtime.Tensor{FP32("x", []int64{2, 2}, 1, 2, 3, 4)}
	res, err := session.Run(ctx, in, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantTensors(t, res.Tensors, INT64("y", []int64{2, 1, 3}, 0, 0, 0, 0, 0, 0), BYTES("s", []int64{2}, "", ""))
	if got := engine.HeldResults.Load(); got != 1 {
		t.Errorf("%d results held, want 1", got)
	}
	res.Release()
	if _, err := session.Run(ctx, in, nil); !errors.Is(err, wrong) {
		t.Errorf("got %v, want the error of Before", err)
	}
	got := [4]int64{engine.Opens.Load(), engine.Runs.Load(), engine.OpenSessions.Load(), engine.HeldResults.Load()}
	if want := [4]int64{2, 2, 1, 0}; got != want {
		t.Errorf("opens, runs, open sessions, held results are %v, want %v", got, want)
	}
}

func TestFixturesAreSmallAndAnswersFit(t *testing.T) {
	names := Fixtures()
	if len(names) < 40 {
		t.Errorf("%d fixtures", len(names))
	}
	for _, name := range names {
		if n := len(ModelBytes(name)); n == 0 || n >= 2048 {
			t.Errorf("%s has %d bytes, want under 2 KB", name, n)
		}
	}
	for _, a := range Answers() {
		for _, tensor := range append(a.Inputs, a.Outputs...) {
			if err := checkLength(&tensor); err != nil {
				t.Errorf("%s, %s: %s: %v", a.Model, a.Case, tensor.Name, err)
			}
		}
	}
}
