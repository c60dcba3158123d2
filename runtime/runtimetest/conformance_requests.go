package runtimetest

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// conformRequests holds what is taken and what is refused, and as whose fault.
func conformRequests(t *testing.T, engine runtime.Engine) {
	t.Run("an index out of range is the caller's fault", func(t *testing.T) {
		session := OpenFixture(t, engine, "gather")
		for _, id := range []int64{4, -5, math.MaxInt64, math.MinInt64} {
			wantRefused(t, session, nil, "out of data bounds", INT64("ids", []int64{2}, 0, id))
		}
		wantTensors(t, run(t, session, nil, INT64("ids", []int64{1}, 1)), FP32("rows", []int64{1, 3}, .75, 1, 1.25))
	})
	t.Run("what does not fit the signature is refused", func(t *testing.T) {
		session := OpenFixture(t, engine, "two_in_two_out")
		x, k := FP32("x", []int64{1, 2}, 1, 2), INT64("k", []int64{1}, 3)
		wantRefused(t, session, nil, "1", x)
		wantRefused(t, session, nil, "3", x, k, k)
		wantRefused(t, session, nil, `"x"`, FP32("x", []int64{1, 3}, 1, 2, 3), k)
		wantRefused(t, session, nil, `"x"`, FP32("x", []int64{2}, 1, 2), k)
		wantRefused(t, session, nil, `"k"`, x, FP32("k", []int64{1}, 1))
		wantRefused(t, session, nil, `"k"`, x, INT64("k", []int64{2}, 1))
		wantRefused(t, session, nil, `"k"`, x, INT64("k", []int64{-1}))
		wantRefused(t, session, nil, `"x"`, FP32("x", []int64{math.MaxInt64, 2}), k)
		wantRefused(t, OpenFixture(t, engine, "identity_bytes"), nil, `"x"`, BYTES("x", []int64{2, 1}, "one"))
		wantRefused(t, OpenFixture(t, engine, "fixed_first"), nil, `"x"`, FP32("x", []int64{2, 4}, make([]float32, 8)...))
	})
	t.Run("outputs come in the order asked for", func(t *testing.T) {
		session := OpenFixture(t, engine, "two_in_two_out")
		x, k := FP32("x", []int64{1, 2}, 1, 2), INT64("k", []int64{1}, 3)
		scaled, next := FP32("scaled", []int64{1, 2}, 3, 6), INT64("next", []int64{1}, 4)
		wantTensors(t, run(t, session, nil, x, k), scaled, next)
		wantTensors(t, run(t, session, []int{1, 0}, x, k), next, scaled)
		for _, bad := range [][]int{{2}, {-1}, {0, 0}, {0, 1, 0}, {}} {
			if _, err := session.Run(context.Background(), Place(t, x, k), bad); err == nil {
				t.Errorf("outputs %v: want an error", bad)
			}
		}
	})
	t.Run("an output never shares an input's memory", func(t *testing.T) {
		session := OpenFixture(t, engine, "passthrough")
		in := Place(t, FP32("x", []int64{2}, 1, 2))
		res, err := session.Run(context.Background(), in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Release()
		clear(in[0].Data)
		wantTensors(t, res.Tensors, FP32("y", []int64{2}, -1, -2), FP32("x", []int64{2}, 1, 2))
	})
	t.Run("an input is not written to", func(t *testing.T) {
		session := OpenFixture(t, engine, "log")
		in := Place(t, FP32("x", []int64{3}, 1, 2, 3))
		want := Clone(in[0])
		res, err := session.Run(context.Background(), in, nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
		if diff := Diff(in[0], want); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an expired context ends a run before it begins", func(t *testing.T) {
		session := OpenFixture(t, engine, "log")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := session.Run(ctx, Place(t, FP32("x", []int64{1}, 1)), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}
