package ort

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

func TestExternalDataIsReadFromBesideTheModel(t *testing.T) {
	engine := openEngine(t)
	path := runtimetest.Model(t, "refused_external")
	if _, err := engine.Open(context.Background(), path, runtime.Options{}); err == nil {
		t.Error("without the data: want an error")
	} else if strings.Contains(err.Error(), filepath.Dir(path)) {
		t.Errorf("error %q names the folder", err)
	}
	var weights []byte
	for _, w := range []float32{10, 20, 30} {
		weights = binary.LittleEndian.AppendUint32(weights, math.Float32bits(w))
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "weights.bin"), weights, 0o600); err != nil {
		t.Fatal(err)
	}
	session, err := engine.Open(context.Background(), path, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeSession(t, session)
	res, err := session.Run(context.Background(), runtimetest.Place(t, runtimetest.FP32("x", []int64{3}, 1, 2, 3)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Release()
	if diff := runtimetest.Diff(res.Tensors[0], runtimetest.FP32("y", []int64{3}, 11, 22, 33)); diff != "" {
		t.Error(diff)
	}
}

func TestEveryAddressGivesTheSameBits(t *testing.T) {
	engine := openEngine(t)
	session := runtimetest.OpenFixture(t, engine, "reduce")
	for _, answer := range runtimetest.Answers() {
		if answer.Model != "reduce" {
			continue
		}
		data := answer.Inputs[0].Data
		for offset := range 64 {
			// Go's heap, at any address: ONNX Runtime must not notice.
			moved := append(make([]byte, offset, offset+len(data)), data...)[offset:]
			in := answer.Inputs[0]
			in.Data = moved
			res, err := session.Run(context.Background(), []runtime.Tensor{in}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range answer.Outputs {
				if diff := runtimetest.Diff(res.Tensors[i], want); diff != "" {
					t.Errorf("%d bytes past alignment: %s", runtimetest.AlignedAt(moved), diff)
				}
			}
			res.Release()
		}
	}
}

func TestABoolThatIsNeitherIsTheCallersFault(t *testing.T) {
	session := runtimetest.OpenFixture(t, openEngine(t), "identity_bool")
	in := runtime.Tensor{Name: "x", Type: runtime.BOOL, Shape: []int64{1, 3}, Data: []byte{0, 1, 2}}
	_, err := session.Run(context.Background(), runtimetest.Place(t, in), nil)
	if err == nil || !strings.Contains(err.Error(), "element 2 is 2") {
		t.Errorf("got %v, want it to name the element", err)
	}
}

func TestResultsOutliveTheirSession(t *testing.T) {
	engine := openEngine(t)
	for _, model := range []string{"identity_fp32", "identity_bytes", "passthrough", "no_input"} {
		session, err := engine.Open(context.Background(), runtimetest.Model(t, model), runtime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var inputs []runtime.Tensor
		for _, spec := range session.Signature().Inputs {
			inputs = append(inputs, runtimetest.Pattern(spec.Name, spec.Type, []int64{2, 3}[:len(spec.Shape)]))
		}
		res, err := session.Run(context.Background(), runtimetest.Place(t, inputs...), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]runtime.Tensor, len(res.Tensors))
		for i := range want {
			want[i] = runtimetest.Clone(res.Tensors[i])
		}
		closeSession(t, session)
		if err := engine.Close(); err == nil {
			t.Fatal("close of the engine with a result held: want an error")
		}
		for i := range want {
			if diff := runtimetest.Diff(res.Tensors[i], want[i]); diff != "" {
				t.Errorf("%s after close: %s", model, diff)
			}
		}
		res.Release()
	}
}

func TestARunAllocatesNothing(t *testing.T) {
	session := runtimetest.OpenFixture(t, openEngine(t), "mlp")
	inputs := runtimetest.Place(t, runtimetest.Pattern("x", runtime.FP32, []int64{4, 32}))
	ctx := context.Background()
	got := testing.AllocsPerRun(200, func() {
		res, err := session.Run(ctx, inputs, nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
	})
	if got != 0 {
		t.Errorf("%v allocations a run, want 0", got)
	}
	b, err := session.(runtime.Binder).Bind([][]int64{{4, 32}}, [][]int64{{4, 3}})
	if err != nil {
		t.Fatal(err)
	}
	got = testing.AllocsPerRun(200, func() {
		if err := b.Run(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if err := b.Close(); err != nil || got != 0 {
		t.Errorf("%v allocations a bound run, want 0; %v", got, err)
	}
}

func closeSession(t testing.TB, session runtime.Session) {
	t.Helper()
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}
