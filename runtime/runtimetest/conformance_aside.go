package runtimetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// conformAside holds that runs which are made aside are like all others, of an
// engine whose sessions are a runtime.AsideRunner.
func conformAside(t *testing.T, engine runtime.Engine, tolerance float64) {
	if _, ok := OpenFixture(t, engine, "mlp").(runtime.AsideRunner); !ok {
		return
	}
	t.Run("they give the recorded answers", func(t *testing.T) {
		for _, answer := range Answers() {
			session := OpenFixture(t, engine, answer.Model).(runtime.AsideRunner)
			var wg sync.WaitGroup
			for range 3 {
				inputs := Place(t, answer.Inputs...)
				wg.Go(func() {
					res, err := session.RunAside(context.Background(), inputs, nil)
					if err != nil {
						t.Errorf("%s: %v", answer.Model, err)
						return
					}
					defer res.Release()
					for i := range answer.Outputs {
						if diff := DiffWithin(res.Tensors[i], answer.Outputs[i], tolerance); diff != "" {
							t.Errorf("%s: %s", answer.Model, diff)
						}
					}
				})
			}
			wg.Wait()
		}
	})
	t.Run("they are refused like others", func(t *testing.T) {
		session := OpenFixture(t, engine, "gather").(runtime.AsideRunner)
		if _, err := session.RunAside(context.Background(), Place(t, INT64("ids", []int64{1}, 9)), nil); !errors.Is(err, runtime.ErrInvalidArgument) {
			t.Errorf("got %v, want ErrInvalidArgument", err)
		}
		gone, leave := context.WithCancel(context.Background())
		leave()
		if _, err := session.RunAside(gone, Place(t, INT64("ids", []int64{1}, 1)), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		closed, err := engine.Open(context.Background(), Model(t, "mlp"), runtime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := closed.(runtime.AsideRunner).RunAside(context.Background(), nil, nil); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("closed session: got %v", err)
		}
	})
	t.Run("bindings make them too", func(t *testing.T) {
		b := bind(t, engine, "gather", [][]int64{{1}}, [][]int64{{1, 3}}).(runtime.AsideBinding)
		for _, id := range []int64{9, 1, -9, 1} {
			copy(b.Inputs()[0].Data, INT64("ids", []int64{1}, id).Data)
			clear(b.Outputs()[0].Data)
			err := b.RunAside(context.Background())
			switch {
			case id != 1 && !errors.Is(err, runtime.ErrInvalidArgument):
				t.Errorf("id %d: got %v, want ErrInvalidArgument", id, err)
			case id == 1 && err != nil:
				t.Error(err)
			case id == 1:
				wantTensors(t, b.Outputs(), FP32("rows", []int64{1, 3}, .75, 1, 1.25))
			}
		}
	})
}
