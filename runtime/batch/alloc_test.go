package batch

import (
	"context"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// still is a session that does nothing and allocates nothing.
type still struct{ runtime.Session }

func (still) Run(context.Context, []runtime.Tensor, []int) (runtime.Result, error) {
	return runtime.Result{}, nil
}

func TestAFreePermitCostsNoAllocation(t *testing.T) {
	instance := New(Options{Permits: 1}).Instance(still{}, InstanceOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	call := &Call{Deadline: time.Now().Add(time.Hour)}
	got := testing.AllocsPerRun(1000, func() {
		res, err := instance.Run(ctx, call)
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
	})
	if got != 0 {
		t.Errorf("%v allocations a run, want 0", got)
	}
}

// BenchmarkRun is what the executor adds to a session's own run.
func BenchmarkRun(b *testing.B) {
	instance := New(Options{}).Instance(still{}, InstanceOptions{QueueLimit: 1 << 20})
	b.Run("one", func(b *testing.B) {
		call := &Call{Deadline: time.Now().Add(time.Hour)}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := instance.Run(context.Background(), call); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			call := &Call{Deadline: time.Now().Add(time.Hour)}
			for pb.Next() {
				if _, err := instance.Run(context.Background(), call); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
