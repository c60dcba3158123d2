package probe_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// try runs Try on a model and holds it to giving everything back.
func try(t *testing.T, model *runtimetest.Fake, req probe.Request) probe.Report {
	t.Helper()
	e := runtimetest.NewEngine(runtimetest.Always(model))
	report := probe.Try(t.Context(), e, req)
	if e.HeldResults.Load() != 0 {
		t.Errorf("%d results were not released", e.HeldResults.Load())
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	return report
}

func TestSyntheticInputsNeverRefuse(t *testing.T) {
	answer := func(data func(i int) float32) func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error) {
		return func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
			out := runtime.Tensor{Name: "y", Type: runtime.FP32, Shape: in[0].Shape, Data: make([]byte, len(in[0].Data))}
			for i := 0; i < len(out.Data); i += 4 {
				binary.LittleEndian.PutUint32(out.Data[i:], math.Float32bits(data(i/4)))
			}
			return []runtime.Tensor{out}, nil
		}
	}
	for _, c := range []struct {
		name, warning string
		goldens       bool
		fn            func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error)
	}{
		{"NaN", `output "y" holds NaN or infinity on synthetic inputs`, false, answer(func(int) float32 { return float32(math.NaN()) })},
		{"infinity", `output "y" holds NaN or infinity`, false, answer(func(i int) float32 { return float32(math.Inf(-i)) })},
		{"an error on zeros", "a try with synthetic inputs failed at a batch of 1: run: division by zero", false,
			func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error) {
				return nil, errors.New("division by zero")
			}},
		{"rows that are not independent", `answers change in a batch of 2: output "y" at [1,0]`, true,
			answer(func(i int) float32 { return float32(2 + 2*i) })}, // right for one row only
	} {
		t.Run(c.name, func(t *testing.T) {
			model, req := doubler(), request()
			model.Func = c.fn
			if !c.goldens {
				req.Manifest.Goldens = nil
			}
			report := try(t, model, req)
			if report.Verdict != probe.Passed {
				t.Errorf("got %s: %s, want a pass", report.Verdict, report.Reason)
			}
			if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], c.warning) {
				t.Errorf("got warnings %q, want one of …%s…", report.Warnings, c.warning)
			}
		})
	}
}

func TestModelsOfAnyShapeAreTried(t *testing.T) {
	spec := func(name string, datatype runtime.DataType, shape ...int64) []runtime.TensorSpec {
		return []runtime.TensorSpec{{Name: name, Type: datatype, Shape: shape}}
	}
	for _, c := range []struct {
		name    string
		in      []runtime.TensorSpec
		batches int
		warning string
	}{
		{"no inputs", nil, 1, ""},
		{"a scalar", spec("x", runtime.INT64), 1, ""},
		{"a fixed batch", spec("x", runtime.FP32, 4, 2), 1, ""},
		{"an empty dimension", spec("x", runtime.FP32, -1, 0), 4, ""},
		{"strings", spec("x", runtime.BYTES, -1, 2), 4, ""},
		{"dynamic everywhere", spec("x", runtime.BF16, -1, -1, -1), 4, ""},
		{"too large to make", spec("x", runtime.FP32, -1, 1<<40), 0, `no try was made with a batch of 1: "x" takes more`},
		{"too large at a batch", spec("x", runtime.FP64, -1, 20<<20), 1, "no try was made with a batch of 2: it takes more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &artifact.Manifest{Signature: &runtime.Signature{Inputs: c.in, Outputs: spec("y", runtime.UINT8, -1)}}
			model := &runtimetest.Fake{Signature: *m.Signature, Func: func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error) {
				return []runtime.Tensor{{Name: "y", Type: runtime.UINT8, Shape: []int64{0}}}, nil
			}}
			report := try(t, model, probe.Request{ModelPath: "m.onnx", Manifest: m, MaxBatch: 8})
			if report.Verdict != probe.Passed || len(report.Runs) != c.batches {
				t.Errorf("got %s and runs %v, want a pass and %d runs", report.Verdict, report.Runs, c.batches)
			}
			if all := strings.Join(report.Warnings, "\n"); c.warning == "" && all != "" || !strings.Contains(all, c.warning) {
				t.Errorf("got warnings %q, want …%s…", report.Warnings, c.warning)
			}
		})
	}
}

func TestAMissingSignatureIsTakenFromTheEngine(t *testing.T) {
	req := request()
	req.Manifest = &artifact.Manifest{}
	model := doubler()
	report := try(t, model, req)
	if report.Verdict != probe.Passed || !report.Signature.Equal(&model.Signature) {
		t.Errorf("got %+v", report)
	}
}

func TestAnEndedContextDecidesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	model := doubler()
	model.Before = func(context.Context) error { cancel(); return ctx.Err() }
	report := probe.Try(ctx, runtimetest.NewEngine(runtimetest.Always(model)), request())
	if report.Verdict != probe.Undecided || report.Refused() {
		t.Errorf("got %s: %s, want no verdict", report.Verdict, report.Reason)
	}
}

func TestAFailedCloseRefuses(t *testing.T) {
	model := doubler()
	model.CloseErr = errors.New("double free")
	if report := try(t, model, request()); report.Verdict != probe.NotOpened || !strings.Contains(report.Reason, "could not be closed: ") {
		t.Errorf("got %+v, want a refusal", report)
	}
}
