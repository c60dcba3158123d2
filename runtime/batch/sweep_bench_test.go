package batch

import (
	"fmt"
	"io"
	"net"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/ort"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// BenchmarkInlineAgainstWorkers is what longRun was chosen by: eight callers on
// connections of their own, and runs of ONNX Runtime's that take from 20 µs to
// 2 ms, in their callers' goroutines and on workers. What computes in Go would
// tell nothing: the scheduler takes a processor from a call into C that lasts.
func BenchmarkInlineAgainstWorkers(b *testing.B) {
	engine, err := ort.Open(ort.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := engine.Close(); err != nil {
			b.Error(err)
		}
	})
	const sample = 1000
	perRow := oneRun(b, engine, sample) / sample
	for _, want := range []time.Duration{20, 50, 100, 200, 400, 800, 2000} {
		rows := max(1, int(want*time.Microsecond/perRow))
		for _, mode := range []string{ModeInline, ModeWorker} {
			b.Run(fmt.Sprintf("%dµs/%s", want, mode), func(b *testing.B) {
				run := oneRun(b, engine, rows)
				sweep(b, runtimetest.OpenFixture(b, engine, "mlp"), rows, mode)
				b.ReportMetric(float64(run.Nanoseconds())/1e3, "run-µs")
			})
		}
	}
}

// oneRun is the fastest of some runs of as many rows by themselves.
func oneRun(b *testing.B, engine runtime.Engine, rows int) time.Duration {
	session, err := engine.Open(b.Context(), runtimetest.Model(b, "mlp"), runtime.Options{})
	if err != nil {
		b.Fatal(err)
	}
	bound, err := session.(runtime.Binder).Bind([][]int64{{int64(rows), 32}}, [][]int64{{int64(rows), 3}})
	if err != nil {
		b.Fatal(err)
	}
	best := time.Hour
	for range 50 {
		began := time.Now()
		if err := bound.Run(b.Context()); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	if err := bound.Close(); err != nil {
		b.Fatal(err)
	}
	if err := session.Close(); err != nil {
		b.Fatal(err)
	}
	return best
}

// sweep answers b.N requests of eight connections, and reports the latencies.
func sweep(b *testing.B, session runtime.Session, rows int, mode string) {
	cores := goruntime.GOMAXPROCS(0)
	defer goruntime.GOMAXPROCS(cores)
	executor := New(Options{Permits: cores, OnWorkers: func(n int) { goruntime.GOMAXPROCS(cores + n) }})
	defer executor.Close()
	i := executor.Instance(session, InstanceOptions{MaxBatch: rows})
	seeming := time.Nanosecond
	if mode == ModeWorker {
		seeming = time.Second
	}
	plan := i.choose(WarmReport{Runs: []WarmRun{{Rows: 1, Best: seeming}}}, "not here", i.ready(b.Context()))
	if plan.Mode != mode || !plan.Prepared {
		b.Fatalf("got %+v, want runs that are made ready, %s", plan, mode)
	}
	defer func() { _ = i.way.Load().slots.close() }() // the session is the caller's
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()

	const callers = 8
	var left atomic.Int64
	left.Store(int64(b.N))
	latencies := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	b.ResetTimer()
	for n := range callers {
		wg.Go(func() { latencies[n] = call(b, listener.Addr().String(), &left) })
		conn, err := listener.Accept()
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() { serve(b, conn, i, rows) })
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds())/1e3, "p99-µs")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// call sends requests until none are left, and returns how long each took.
func call(b *testing.B, addr string, left *atomic.Int64) (took []time.Duration) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return nil
	}
	defer conn.Close()
	message := make([]byte, 256)
	for left.Add(-1) >= 0 {
		began := time.Now()
		if _, err := conn.Write(message); err != nil {
			b.Error(err)
			return took
		}
		if _, err := io.ReadFull(conn, message); err != nil {
			b.Error(err)
			return took
		}
		took = append(took, time.Since(began))
	}
	return took
}

// serve answers requests of a connection, each with a run, until it ends.
func serve(b *testing.B, conn net.Conn, i *Instance, rows int) {
	defer conn.Close()
	message, shape := make([]byte, 256), []int64{int64(rows), 32}
	call, inputs := &Call{}, make([]runtime.Tensor, 1)
	for {
		if _, err := io.ReadFull(conn, message); err != nil {
			return // the caller has left
		}
		slot := i.Slot(call, 0, shape)
		copy(slot, message)
		inputs[0] = runtime.Tensor{Name: "x", Type: runtime.FP32, Shape: shape, Data: slot}
		call.Inputs = inputs
		res, err := i.Run(b.Context(), call)
		if err != nil {
			b.Error(err)
			return
		}
		copy(message, res.Tensors[0].Data)
		res.Release()
		call.Done()
		call.Reset()
		if _, err := conn.Write(message); err != nil {
			b.Error(err)
			return
		}
	}
}
