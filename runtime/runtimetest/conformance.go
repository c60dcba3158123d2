package runtimetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// Conformance runs the suite that every engine passes: what the comments of
// runtime.Engine and runtime.Session promise, and of runtime.Binder where the
// sessions are one, on the fixture models. newEngine is called once and its
// engine closed at the end. Recorded answers are held to the bit.
func Conformance(t *testing.T, newEngine func(t *testing.T) runtime.Engine) {
	ConformanceWithin(t, 0, newEngine)
}

// ConformanceWithin is Conformance for engines whose arithmetic is not that of
// the recorded answers, as on another device: FP32 numbers of theirs may differ
// by tolerance, of one and of their own size together.
func ConformanceWithin(t *testing.T, tolerance float64, newEngine func(t *testing.T) runtime.Engine) {
	engine := newEngine(t)
	if engine.Name() == "" || engine.Version() == "" {
		t.Errorf("engine is named %q of version %q, want both said", engine.Name(), engine.Version())
	}
	t.Run("recorded answers", func(t *testing.T) { conformAnswers(t, engine, tolerance) })
	t.Run("data types", func(t *testing.T) { conformTypes(t, engine) })
	t.Run("requests", func(t *testing.T) { conformRequests(t, engine) })
	t.Run("bindings", func(t *testing.T) { conformBindings(t, engine) })
	t.Run("aside", func(t *testing.T) { conformAside(t, engine, tolerance) })
	t.Run("lifecycle", func(t *testing.T) { conformLifecycle(t, engine) })
	t.Run("concurrency", func(t *testing.T) { conformConcurrency(t, engine) })
	if err := engine.Close(); err != nil {
		t.Errorf("close of an engine without sessions: %v", err)
	}
	if err := engine.Close(); err == nil {
		t.Error("second close of the engine: want an error")
	}
	if _, err := engine.Open(context.Background(), Model(t, "mlp"), runtime.Options{}); err == nil {
		t.Error("open on a closed engine: want an error")
	}
}

// OpenFixture opens the named fixture and closes it at the test's end.
func OpenFixture(t testing.TB, engine runtime.Engine, name string) runtime.Session {
	t.Helper()
	session, err := engine.Open(context.Background(), Model(t, name), runtime.Options{})
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
	})
	return session
}

// run answers copies of all outputs, so that they outlive the result.
func run(t testing.TB, session runtime.Session, outputs []int, inputs ...runtime.Tensor) []runtime.Tensor {
	t.Helper()
	res, err := session.Run(context.Background(), Place(t, inputs...), outputs)
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	defer res.Release()
	tensors := make([]runtime.Tensor, len(res.Tensors))
	for i := range tensors {
		tensors[i] = Clone(res.Tensors[i])
	}
	return tensors
}

func wantTensors(t testing.TB, got []runtime.Tensor, want ...runtime.Tensor) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d outputs, want %d", len(got), len(want))
		return
	}
	for i := range want {
		if diff := Diff(got[i], want[i]); diff != "" {
			t.Error(diff)
		}
	}
}

// wantRefused checks that a run is refused as the caller's fault, in words that
// name what is wrong and no file.
func wantRefused(t testing.TB, session runtime.Session, outputs []int, says string, inputs ...runtime.Tensor) {
	t.Helper()
	res, err := session.Run(context.Background(), inputs, outputs)
	if err == nil {
		res.Release()
		t.Fatalf("run was taken, want it refused because of %q", says)
	}
	if !errors.Is(err, runtime.ErrInvalidArgument) {
		t.Errorf("got %v, want it to wrap ErrInvalidArgument", err)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want it to say %q", err, says)
	}
	WantNoPath(t, err)
}

// WantNoPath checks that an error names no file of the machine.
func WantNoPath(t testing.TB, err error) {
	t.Helper()
	for _, mark := range []string{".cc", ".h:", "/tmp", "/home", "/src", "onnxruntime::", "\n"} {
		if err != nil && strings.Contains(err.Error(), mark) {
			t.Errorf("error %q contains %q", err, mark)
		}
	}
}

func conformAnswers(t *testing.T, engine runtime.Engine, tolerance float64) {
	for _, answer := range Answers() {
		t.Run(answer.Model+"/"+answer.Case, func(t *testing.T) {
			session := OpenFixture(t, engine, answer.Model)
			want := func(got []runtime.Tensor, outputs ...runtime.Tensor) {
				t.Helper()
				if len(got) != len(outputs) {
					t.Fatalf("got %d outputs, want %d", len(got), len(outputs))
				}
				for i := range outputs {
					if diff := DiffWithin(got[i], outputs[i], tolerance); diff != "" {
						t.Error(diff)
					}
				}
			}
			want(run(t, session, nil, answer.Inputs...), answer.Outputs...)
			for i, out := range answer.Outputs {
				want(run(t, session, []int{i}, answer.Inputs...), out)
			}
		})
	}
}

// OnDevice returns the engine with another default device.
func OnDevice(engine runtime.Engine, device string) runtime.Engine {
	return onDevice{engine, device}
}

type onDevice struct {
	runtime.Engine
	device string
}

// Open opens on the device, unless the options name one that is not the CPU.
func (d onDevice) Open(ctx context.Context, path string, opts runtime.Options) (runtime.Session, error) {
	if opts.Device == "" || opts.Device == "cpu" {
		opts.Device = d.device
	}
	return d.Engine.Open(ctx, path, opts)
}
