package ort

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// BenchmarkRun is a run of the MLP 32→64→3, of one row by one caller and by
// many on one session, on the device that SEGUE_DEVICE names.
func BenchmarkRun(b *testing.B) {
	session := runtimetest.OpenFixture(b, runtimetest.OnDevice(openEngine(b), os.Getenv(deviceEnv)), "mlp")
	for _, rows := range []int64{1, 8, 64} {
		inputs := runtimetest.Place(b, floats(rows))
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				runOnce(b, session, inputs)
			}
		})
	}
	inputs := runtimetest.Place(b, floats(1))
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				runOnce(b, session, inputs)
			}
		})
	})
}

// BenchmarkBound is a run that was made ready, of one row by one caller and by
// one on each core, on one session and on a session each.
func BenchmarkBound(b *testing.B) {
	engine := openEngine(b)
	one := runtimetest.OpenFixture(b, engine, "mlp")
	bind := func(session runtime.Session) runtime.Binding {
		bound, err := session.(runtime.Binder).Bind([][]int64{{1, 32}}, [][]int64{{1, 3}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = bound.Close() })
		copy(bound.Inputs()[0].Data, floats(1).Data)
		return bound
	}
	b.Run("one", func(b *testing.B) {
		bound := bind(one)
		b.ReportAllocs()
		for b.Loop() {
			if err := bound.Run(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
	parallel := func(name string, open func() runtime.Session) {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				bound := bind(open())
				for pb.Next() {
					if err := bound.Run(context.Background()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
	parallel("parallel/one-session", func() runtime.Session { return one })
	parallel("parallel/session-each", func() runtime.Session { return runtimetest.OpenFixture(b, engine, "mlp") })
}

// BenchmarkIdentity is what a call costs beside the model's own work.
func BenchmarkIdentity(b *testing.B) {
	engine := openEngine(b)
	for _, model := range []string{"scalar_fp32", "identity_bytes"} {
		session := runtimetest.OpenFixture(b, engine, model)
		spec := session.Signature().Inputs[0]
		inputs := runtimetest.Place(b, runtimetest.Pattern(spec.Name, spec.Type, []int64{1, 1}[:len(spec.Shape)]))
		b.Run(model, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				runOnce(b, session, inputs)
			}
		})
	}
}

// floats are ordinary numbers: denormals would slow a run down.
func floats(rows int64) runtime.Tensor {
	values := make([]float32, rows*32)
	for i := range values {
		values[i] = float32(i%17)/8 - 1
	}
	return runtimetest.FP32("x", []int64{rows, 32}, values...)
}

func runOnce(b *testing.B, session runtime.Session, inputs []runtime.Tensor) {
	res, err := session.Run(context.Background(), inputs, nil)
	if err != nil {
		b.Fatal(err)
	}
	res.Release()
}
