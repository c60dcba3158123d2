package runtimetest

import (
	"math"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

func TestTensorsAreComparedWithinATolerance(t *testing.T) {
	nan := float32(math.NaN())
	inf := float32(math.Inf(1))
	f := func(got, want runtime.Tensor, tolerance float64, same bool) {
		t.Helper()
		if diff := DiffWithin(got, want, tolerance); (diff == "") != same {
			t.Errorf("got %q, want the same: %v", diff, same)
		}
	}
	one := func(v float32) runtime.Tensor { return FP32("y", []int64{1}, v) }
	f(one(1), one(1), 0, true)
	f(one(1), one(1.0000001), 0, false)
	f(one(1), one(1.0000001), 1e-3, true)
	f(one(1000), one(1001), 1e-3, true)
	f(one(1), one(1.01), 1e-3, false)
	f(one(nan), one(nan), 1e-3, true)
	f(one(nan), one(1), 1e-3, false)
	f(one(1), one(nan), 1e-3, false)
	f(one(inf), one(inf), 1e-3, true)
	f(one(inf), one(-inf), 1e-3, false)
	f(FP32("z", []int64{1}, 1), one(1), 1e-3, false)
	f(FP32("y", []int64{1, 1}, 1), one(1), 1e-3, false)
	f(FP32("y", []int64{2}, 1, 1), one(1), 1e-3, false)
	f(INT64("y", []int64{1}, 1), INT64("y", []int64{1}, 2), 1e-3, false)
	f(INT64("y", []int64{1}, 1), one(1), 1e-3, false)
}
