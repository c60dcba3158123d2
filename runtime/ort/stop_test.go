package ort

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// TestARunEndsWithItsContext tries until one is ended in the middle, bound and
// not: where the machine is busy, a run may be over before the timer.
func TestARunEndsWithItsContext(t *testing.T) {
	session := runtimetest.OpenFixture(t, openEngine(t), "mlp")
	const rows = 300_000
	inputs := runtimetest.Place(t, floats(rows))
	b, err := session.(runtime.Binder).Bind([][]int64{{rows, 32}}, [][]int64{{rows, 3}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	copy(b.Inputs()[0].Data, inputs[0].Data)
	for name, run := range map[string]func(context.Context) error{
		"bound":       b.Run,
		"bound aside": b.(runtime.AsideBinding).RunAside,
		"not bound": func(ctx context.Context) error {
			res, err := session.Run(ctx, inputs, nil)
			res.Release()
			return err
		},
	} {
		ended := false
		for limit, until := time.Millisecond, time.Now().Add(20*time.Second); !ended && time.Now().Before(until); limit = limit%(32*time.Millisecond) + time.Millisecond {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			err := run(ctx)
			cancel()
			ended = err != nil
			if ended && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want the context's error", name, err)
			}
		}
		if !ended {
			t.Errorf("%s: no run was ended", name)
		}
		if err := run(context.Background()); err != nil {
			t.Errorf("%s: the next run: %v", name, err)
		}
	}
}
