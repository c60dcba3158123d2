package batch_test

import (
	"path/filepath"
	goruntime "runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-serving/segue/bench/models"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
	"github.com/segue-serving/segue/runtime/ort"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// TestTheMeasuredCostIsThatOfAPlainLoop warms a real convolutional network and
// runs it in a plain loop. Both are counted in the processor's time, so that
// who else computes here matters little; where it does, another try is made.
func TestTheMeasuredCostIsThatOfAPlainLoop(t *testing.T) {
	dir := t.TempDir()
	if err := models.Write(dir, "cnn"); err != nil {
		t.Fatal(err)
	}
	engine, err := ort.Open(ort.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(dir, "models", "cnn", "1", "model.onnx")
	for until := time.Now().Add(time.Minute); ; {
		measured, plain := costs(t, engine, path, 8)
		if near(measured.Runs[0].Best, plain[0]) && near(measured.Runs[1].Best, plain[1]) &&
			near(measured.Fixed+8*measured.PerRow, plain[1]) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("measured %+v, in a plain loop %v: more than 30 %% apart", measured, plain)
		}
	}
}

func near(a, b time.Duration) bool { return a < b*13/10 && b < a*13/10 }

// costs warms the model up to a number of rows, and times runs of one and of
// that many in a loop.
func costs(t *testing.T, engine runtime.Engine, path string, rows int) (measured batch.WarmReport, plain []time.Duration) {
	t.Helper()
	session, err := engine.Open(t.Context(), path, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	executor := batch.New(batch.Options{})
	defer executor.Close()
	instance := executor.Instance(session, batch.InstanceOptions{MaxBatch: rows})
	defer func() {
		if err := instance.Close(); err != nil {
			t.Error(err)
		}
	}()
	measured, err = instance.Warm(t.Context(), nil)
	if err != nil || len(measured.Runs) != 2 || len(measured.Failures) > 0 {
		t.Fatalf("got %+v, %v, want two sizes", measured, err)
	}
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	for _, n := range []int64{1, int64(rows)} {
		shape := append([]int64{n}, session.Signature().Inputs[0].Shape[1:]...)
		in := runtimetest.Place(t, runtimetest.Pattern("input", runtime.FP32, shape))
		best := time.Duration(1<<63 - 1)
		for range 10 {
			began := processorTime(t)
			res, err := session.Run(t.Context(), in, nil)
			if err != nil {
				t.Fatal(err)
			}
			best = min(best, processorTime(t)-began)
			res.Release()
		}
		plain = append(plain, best)
	}
	return measured, plain
}

// processorTime is what this thread has had.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var spec unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &spec); err != nil {
		t.Fatal(err)
	}
	return time.Duration(spec.Nano())
}
