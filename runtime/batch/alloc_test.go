package batch

import (
	"context"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// still is a session that does nothing and allocates nothing.
type still struct {
	runtime.Session
	signature runtime.Signature
}

func (*still) Run(context.Context, []runtime.Tensor, []int) (runtime.Result, error) {
	return runtime.Result{}, nil
}

func (s *still) Signature() *runtime.Signature { return &s.signature }

func TestAFreePermitCostsNoAllocation(t *testing.T) {
	instance := New(Options{Permits: 1}).Instance(&still{}, InstanceOptions{})
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

// stillBound is a session that does nothing, and nothing on memory made ready.
type stillBound struct {
	still
	in, out []runtime.Tensor
}

func newStill() *stillBound {
	specs := func(name string) []runtime.TensorSpec { return []runtime.TensorSpec{spec(name, runtime.FP32, 1, 2)} }
	tensor := func(name string) []runtime.Tensor {
		return []runtime.Tensor{runtimetest.FP32(name, []int64{1, 2}, 0, 0)}
	}
	return &stillBound{still{signature: runtime.Signature{Inputs: specs("x"), Outputs: specs("y")}}, tensor("x"), tensor("y")}
}

func (s *stillBound) Run(context.Context, []runtime.Tensor, []int) (runtime.Result, error) {
	return runtime.NewResult(s.out, nil), nil
}
func (s *stillBound) Bind(_, _ [][]int64) (runtime.Binding, error) { return boundStill{s}, nil }
func (s *stillBound) Close() error                                 { return nil }

type boundStill struct{ *stillBound }

func (b boundStill) Inputs() []runtime.Tensor  { return b.in }
func (b boundStill) Outputs() []runtime.Tensor { return b.out }
func (boundStill) Run(context.Context) error   { return nil }
func (boundStill) Close() error                { return nil }

// worked makes an instance whose calls go to a worker, however short.
func worked(t testing.TB, executor *Executor, session runtime.Session) *Instance {
	i := executor.Instance(session, InstanceOptions{})
	i.choose(WarmReport{Runs: []WarmRun{{Rows: 1, Best: time.Second}}, Fixed: time.Second}, "", i.ready(t.Context()))
	i.way.Load().line.hint.Store(1)
	return i
}

// TestSlotsAndWorkersCostNoAllocation decodes into a slot, and runs in place
// and on a worker, which is busy with another call each time.
func TestSlotsAndWorkersCostNoAllocation(t *testing.T) {
	executor := New(Options{Permits: 2})
	defer executor.Close()
	i := worked(t, executor, newStill())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	call, shape, outputs := &Call{}, []int64{1, 2}, []int{0}
	inputs := make([]runtime.Tensor, 1)
	once := func() {
		slot := i.Slot(call, 0, shape)
		if slot == nil {
			t.Fatal("no slot")
		}
		inputs[0] = runtime.Tensor{Name: "x", Type: runtime.FP32, Shape: shape, Data: slot}
		call.Inputs, call.Outputs, call.Deadline = inputs, outputs, time.Now().Add(time.Hour)
		res, err := i.Run(ctx, call)
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
		call.Done()
		call.Reset()
	}
	if got := testing.AllocsPerRun(1000, once); got != 0 {
		t.Errorf("%v allocations a run in place, want 0", got)
	}
	lane := i.way.Load().lane
	if !lane.take() { // so that not all is idle
		t.Fatal("no place")
	}
	defer lane.release()
	if got := testing.AllocsPerRun(1000, once); got != 0 {
		t.Errorf("%v allocations a run on a worker, want 0", got)
	}
}

// BenchmarkHandOver is what a worker costs a call that finds it idle.
func BenchmarkHandOver(b *testing.B) {
	executor := New(Options{Permits: 2})
	defer executor.Close()
	i := worked(b, executor, newStill())
	lane := i.way.Load().lane
	lane.take()
	defer lane.release()
	call := &Call{Deadline: time.Now().Add(time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.Run(context.Background(), call); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRun is what the executor adds to a session's own run.
func BenchmarkRun(b *testing.B) {
	instance := New(Options{}).Instance(&still{}, InstanceOptions{QueueLimit: 1 << 20})
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
