package runtimetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// bind prepares a run of the fixture; the test's end closes it.
func bind(t *testing.T, engine runtime.Engine, name string, inputs, outputs [][]int64) runtime.Binding {
	t.Helper()
	b, err := OpenFixture(t, engine, name).(runtime.Binder).Bind(inputs, outputs)
	if err != nil {
		t.Fatalf("bind %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close a binding of %s: %v", name, err)
		}
		if err := b.Close(); err == nil {
			t.Error("second close of a binding: want an error")
		}
	})
	return b
}

// conformBindings holds what runs that were prepared promise, of an engine
// whose sessions are a runtime.Binder.
func conformBindings(t *testing.T, engine runtime.Engine) {
	if _, ok := OpenFixture(t, engine, "mlp").(runtime.Binder); !ok {
		return
	}
	t.Run("they give the recorded answers", func(t *testing.T) {
		for _, answer := range Answers() {
			if slices.ContainsFunc(slices.Concat(answer.Inputs, answer.Outputs), func(t runtime.Tensor) bool { return t.Type == runtime.BYTES }) ||
				answer.Model == "passthrough" {
				continue
			}
			t.Run(answer.Model+"/"+answer.Case, func(t *testing.T) {
				b := bind(t, engine, answer.Model, shapes(answer.Inputs), shapes(answer.Outputs))
				for range 3 {
					for i, in := range b.Inputs() {
						if AlignedAt(in.Data) != 0 {
							t.Errorf("input %q is not aligned", in.Name)
						}
						copy(in.Data, answer.Inputs[i].Data)
					}
					for _, out := range b.Outputs() {
						clear(out.Data)
					}
					if err := b.Run(context.Background()); err != nil {
						t.Fatal(err)
					}
					wantTensors(t, b.Outputs(), answer.Outputs...)
				}
			})
		}
	})
	t.Run("a refused run leaves them fit for the next", func(t *testing.T) {
		b := bind(t, engine, "gather", [][]int64{{1}}, [][]int64{{1, 3}})
		for _, id := range []int64{9, 1, -9, 1} {
			copy(b.Inputs()[0].Data, INT64("ids", []int64{1}, id).Data)
			err := b.Run(context.Background())
			if id != 1 {
				if !errors.Is(err, runtime.ErrInvalidArgument) {
					t.Errorf("id %d: got %v, want ErrInvalidArgument", id, err)
				}
				WantNoPath(t, err)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			wantTensors(t, b.Outputs(), FP32("rows", []int64{1, 3}, .75, 1, 1.25))
		}
	})
	t.Run("an output of another shape than was bound is an error", func(t *testing.T) {
		b := bind(t, engine, "nonzero", [][]int64{{2, 2}}, [][]int64{{2, 4}})
		if err := b.Run(context.Background()); err == nil {
			t.Error("want an error")
		}
	})
	t.Run("shapes that do not fit are refused", func(t *testing.T) {
		session := OpenFixture(t, engine, "mlp").(runtime.Binder)
		strings := OpenFixture(t, engine, "identity_bytes").(runtime.Binder)
		passthrough := OpenFixture(t, engine, "passthrough").(runtime.Binder)
		for _, err := range []error{
			refused(session, [][]int64{{1, 31}}, [][]int64{{1, 3}}),
			refused(session, [][]int64{{1, 32}}, [][]int64{{3}}),
			refused(session, [][]int64{{runtime.Dynamic, 32}}, [][]int64{{1, 3}}),
			refused(session, nil, [][]int64{{1, 3}}),
			refused(session, [][]int64{{1, 32}}, nil),
			refused(strings, [][]int64{{1, 1}}, [][]int64{{1, 1}}),
			refused(passthrough, [][]int64{{1}}, [][]int64{{1}, {1}}),
		} {
			if err == nil {
				t.Error("want an error")
			}
			WantNoPath(t, err)
		}
	})
	t.Run("an expired context ends a run before it begins", func(t *testing.T) {
		b := bind(t, engine, "gather", [][]int64{{1}}, [][]int64{{1, 3}})
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := b.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

func refused(b runtime.Binder, inputs, outputs [][]int64) error {
	made, err := b.Bind(inputs, outputs)
	if err == nil {
		_ = made.Close()
	}
	return err
}

func shapes(tensors []runtime.Tensor) [][]int64 {
	all := make([][]int64, len(tensors))
	for i := range tensors {
		all[i] = tensors[i].Shape
	}
	return all
}
