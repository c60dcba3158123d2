package batch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
	"github.com/segue-serving/segue/runtime/ort"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// TestALongRunEndsWhenItsCallerLeaves runs a real model of some milliseconds in
// its caller's goroutine and on workers, with deadlines that make it a run that
// can be ended. A run may be over before its caller leaves: it is tried until
// one is ended in the middle.
func TestALongRunEndsWhenItsCallerLeaves(t *testing.T) {
	engine, err := ort.Open(ort.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}()
	session, err := engine.Open(t.Context(), runtimetest.Model(t, "long"), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	executor := batch.New(batch.Options{Permits: 1})
	defer executor.Close()
	instance := executor.Instance(session, batch.InstanceOptions{MaxBatch: 8})
	defer func() {
		if err := instance.Close(); err != nil {
			t.Error(err)
		}
	}()
	report, err := instance.Warm(t.Context(), nil)
	if err != nil || report.Plan.Mode != batch.ModeWorker || !report.Plan.Prepared {
		t.Fatalf("got %+v, %v, want runs that are made ready, on workers", report, err)
	}
	usual := report.Runs[0].Best
	for name, busy := range map[string]bool{"in its caller's goroutine": false, "on a worker": true} {
		ended := false
		for until := time.Now().Add(20 * time.Second); !ended && time.Now().Before(until); {
			limit, leaves := 3*usual, usual/2
			var other sync.WaitGroup
			if busy {
				other.Go(func() { _, _ = stay(t, instance, 3*usual) })
				time.Sleep(usual / 4)
				limit, leaves = limit+usual, leaves+usual
			}
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(leaves, cancel)
			call, err := infer(ctx, t, instance, limit)
			timer.Stop()
			cancel()
			ended = errors.Is(err, context.Canceled) && call.Ran > 0 && (call.Queued > 0) == busy
			other.Wait()
		}
		if !ended {
			t.Errorf("%s: no run was ended", name)
		}
		if _, err := stay(t, instance, time.Minute); err != nil {
			t.Errorf("%s: the next call: %v", name, err)
		}
	}
}

// stay makes a call whose caller waits for its end, which its deadline may be.
func stay(t *testing.T, instance *batch.Instance, limit time.Duration) (*batch.Call, error) {
	call, err := infer(t.Context(), t, instance, limit)
	if err != nil && !errors.Is(err, batch.ErrDeadline) && !errors.Is(err, batch.ErrStopped) && !errors.Is(err, batch.ErrNoTime) {
		t.Error(err)
	}
	return call, err
}

// infer makes a call on the instance's own memory, which has so long.
func infer(ctx context.Context, t *testing.T, instance *batch.Instance, limit time.Duration) (*batch.Call, error) {
	shape, call := []int64{1, 16}, &batch.Call{Deadline: time.Now().Add(limit)}
	slot := instance.Slot(call, 0, shape)
	if slot == nil {
		t.Error("no slot")
	}
	clear(slot)
	call.Inputs = []runtime.Tensor{{Name: "x", Type: runtime.FP32, Shape: shape, Data: slot}}
	res, err := instance.Run(ctx, call)
	res.Release()
	call.Done()
	return call, err
}
