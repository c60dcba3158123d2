package batch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// Values that the doubler does not take.
const (
	badValue   = 1313
	panicValue = 666
)

// doubler is a fake model of rows of two numbers whose runs take simulated
// time. It counts how often each first number of a row was run.
type doubler struct {
	fixed, perRow time.Duration
	name          string
	mu            sync.Mutex
	seen          map[float32]int
	runs          []int // rows of each run
	running, most int
	engine        *runtimetest.Engine
}

func (d *doubler) session(shape ...int64) *runtimetest.Session {
	if shape == nil {
		shape = []int64{runtime.Dynamic, 2}
	}
	d.seen = map[float32]int{}
	session := runtimetest.NewSession(&runtimetest.Fake{
		Signature: runtime.Signature{
			Inputs:  []runtime.TensorSpec{spec("x", runtime.FP32, shape...)},
			Outputs: []runtime.TensorSpec{spec("y", runtime.FP32, shape...)},
		},
		Func: d.double,
	})
	d.engine = session.Engine()
	return session
}

func (d *doubler) double(ctx context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
	values := floats(in[0].Data)
	rows := int(in[0].Shape[0])
	d.mu.Lock()
	d.runs = append(d.runs, rows)
	d.running++
	d.most = max(d.most, d.running)
	for row := range rows {
		d.seen[values[row*len(values)/rows]]++
	}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.running--
		d.mu.Unlock()
	}()
	select {
	case <-time.After(d.fixed + time.Duration(rows)*d.perRow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for i, v := range values {
		switch v {
		case badValue:
			return nil, fmt.Errorf("%w: %v is out of range", runtime.ErrInvalidArgument, v)
		case panicValue:
			panic("boom")
		}
		values[i] = 2 * v
	}
	return []runtime.Tensor{runtimetest.FP32("y", in[0].Shape, values...)}, nil
}

func floats(data []byte) []float32 {
	values := make([]float32, len(data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return values
}

// warm makes an instance of the model and forgets what warming it ran.
func (d *doubler) warm(t *testing.T, executor *Executor, options InstanceOptions, shape ...int64) *Instance {
	t.Helper()
	options.Name, options.Version = d.name, "1"
	i := executor.Instance(d.session(shape...), options)
	report, err := i.Warm(t.Context(), nil)
	if err != nil || len(report.Failures) > 0 {
		t.Fatalf("warm: %v, %v", err, report.Failures)
	}
	clear(d.seen)
	d.runs, d.most = nil, 0
	return i
}

// ask runs rows that begin with value and checks the answer.
func ask(ctx context.Context, i *Instance, call *Call, value float32, rows int) error {
	width := int(max(2, i.Signature().Inputs[0].Shape[1]))
	return askWide(ctx, i, call, value, rows, width)
}

func askWide(ctx context.Context, i *Instance, call *Call, value float32, rows, width int) error {
	values := make([]float32, rows*width)
	for k := range values {
		values[k] = value
	}
	in := runtimetest.FP32("x", []int64{int64(rows), int64(width)}, values...)
	if slot := i.Slot(call, 0, in.Shape); slot != nil {
		copy(slot, in.Data)
		in.Data = slot
	}
	call.Inputs = []runtime.Tensor{in}
	res, err := i.Run(ctx, call)
	call.Done()
	if err != nil {
		return err
	}
	defer res.Release()
	for k := range values {
		values[k] = 2 * value
	}
	if diff := runtimetest.Diff(res.Tensors[0], runtimetest.FP32("y", in.Shape, values...)); diff != "" {
		return errors.New(diff)
	}
	return nil
}

func TestALongRunIsMadeByAWorkerUnlessAllIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		executor := New(Options{Permits: 2, OnWorkers: func(n int) { told = n }})
		defer executor.Close()
		model := &doubler{fixed: ms, perRow: 9 * ms}
		i := model.warm(t, executor, InstanceOptions{MaxBatch: 8})
		plan := i.Plan()
		if plan.Mode != ModeWorker || plan.MaxBatch != 1 || !strings.HasPrefix(plan.Batching, "off: 8 rows") || !plan.Prepared ||
			plan.Workers != 2 || told != 2 || (plan.Fixed-ms).Abs() > time.Microsecond || (plan.PerRow-9*ms).Abs() > time.Microsecond {
			t.Errorf("got %+v and %d workers told", plan, told)
		}
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				call := &Call{}
				if err := ask(t.Context(), i, call, float32(n), 1); err != nil {
					t.Error(err)
				}
				if want := time.Duration(n/2) * 10 * ms; call.Queued != want || call.Ran != 10*ms || call.BatchRows != 1 {
					t.Errorf("call %d waited %v and ran %v with %d rows, want %v, 10ms and 1", n, call.Queued, call.Ran, call.BatchRows, want)
				}
			})
			synctest.Wait()
		}
		if got, want := executor.Stats(), (Stats{Permits: 4, Busy: 2, Queued: 6}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := i.Wait(); got != 32500*time.Microsecond {
			t.Errorf("got a wait of %v, want 6 runs of 10ms and half of one over two workers", got)
		}
		wg.Wait()
		if model.most != 2 || len(model.runs) != 8 {
			t.Errorf("%d runs, up to %d at once, want 8 and 2", len(model.runs), model.most)
		}
		if got := model.engine.AsideRuns.Load(); got != 7 {
			t.Errorf("%d runs were made aside, want all but the first", got)
		}
		synctest.Wait() // a worker tells its caller before it rests
		if got, want := executor.Stats(), (Stats{Permits: 4}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// batching is an instance of a model whose runs cost 10ms and 0.1ms a row.
func batching(t *testing.T, permits int, options InstanceOptions, shape ...int64) (*doubler, *Executor, *Instance) {
	executor := New(Options{Permits: permits})
	model := &doubler{fixed: 10 * ms, perRow: ms / 10, name: "m"}
	options.MaxBatch = 8
	i := model.warm(t, executor, options, shape...)
	if plan := i.Plan(); plan.Mode != ModeWorker || plan.MaxBatch != 8 || !strings.HasPrefix(plan.Batching, "on: 8 rows") {
		t.Errorf("got %+v", plan)
	}
	return model, executor, i
}

func TestAFreeWorkerTakesAllRowsThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, executor, i := batching(t, 1, InstanceOptions{})
		defer executor.Close()
		var wg sync.WaitGroup
		var mu sync.Mutex
		rows := 0
		for n, each := range []int{1, 1, 2, 3, 1, 5, 8} {
			wg.Go(func() {
				call := &Call{}
				if err := ask(t.Context(), i, call, float32(n), each); err != nil {
					t.Errorf("call %d: %v", n, err)
				}
				mu.Lock()
				defer mu.Unlock()
				rows += call.BatchRows
			})
			synctest.Wait()
		}
		wg.Wait()
		// One at once; 1+2+3+1; 5; 8: a call's rows stay together.
		if want := []int{1, 7, 5, 8}; !slices.Equal(model.runs, want) || rows != 21 {
			t.Errorf("runs of %v rows, %d rows told, want %v and 21", model.runs, rows, want)
		}
	})
}

func TestRowsOfOtherShapesRunApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, executor, i := batching(t, 1, InstanceOptions{}, runtime.Dynamic, runtime.Dynamic)
		defer executor.Close()
		if i.Plan().Prepared {
			t.Error("runs of unknown shapes were made ready")
		}
		var wg sync.WaitGroup
		for n, width := range []int{1, 3, 5, 3, 5, 3} {
			wg.Go(func() {
				if err := askWide(t.Context(), i, &Call{}, float32(n), 1, width); err != nil {
					t.Errorf("call %d: %v", n, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if want := []int{1, 3, 2}; !slices.Equal(model.runs, want) {
			t.Errorf("runs of %v rows, want %v", model.runs, want)
		}
	})
}

func TestWhatOneCallerSendsFailsNobodyElse(t *testing.T) {
	for value, want := range map[float32]error{badValue: runtime.ErrInvalidArgument, panicValue: ErrPanic} {
		synctest.Test(t, func(t *testing.T) {
			model, executor, i := batching(t, 1, InstanceOptions{})
			defer executor.Close()
			var wg sync.WaitGroup
			for n := range 5 {
				wg.Go(func() {
					sent := float32(n)
					if n == 2 {
						sent = value
					}
					err := ask(t.Context(), i, &Call{}, sent, 1)
					if n != 2 && err != nil || n == 2 && !errors.Is(err, want) {
						t.Errorf("call %d: %v", n, err)
					}
				})
				synctest.Wait()
			}
			wg.Wait()
			runs := []int{1, 4, 1, 1, 1, 1}
			if value == badValue {
				// What a prepared run refuses is asked again without it.
				runs = append(runs, 1)
			}
			if !slices.Equal(model.runs, runs) {
				t.Errorf("runs of %v rows, want %v", model.runs, runs)
			}
			synctest.Wait() // a worker tells its caller before it rests
			if got, want := executor.Stats(), (Stats{Permits: 2}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestTheFirstOfABatchWaitsForOthersWhereADelayIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, executor, i := batching(t, 2, InstanceOptions{MaxQueueDelay: 5 * ms})
		defer executor.Close()
		var wg sync.WaitGroup
		start := func(rows int, waits time.Duration) {
			wg.Go(func() {
				call := &Call{}
				if err := ask(t.Context(), i, call, 1, rows); err != nil || call.Queued != waits {
					t.Errorf("got %v after %v, want it run after %v", err, call.Queued, waits)
				}
			})
			synctest.Wait()
		}
		start(1, 5*ms)
		time.Sleep(2 * ms)
		start(2, 3*ms)
		wg.Wait()
		start(3, ms)
		time.Sleep(ms)
		start(5, 0) // full
		wg.Wait()
		gone, leave := context.WithCancel(t.Context())
		wg.Go(func() {
			if err := ask(gone, i, &Call{}, 1, 1); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
		time.Sleep(time.Second)
		if want := []int{3, 8}; !slices.Equal(model.runs, want) {
			t.Errorf("runs of %v rows, want %v", model.runs, want)
		}
	})
}

func TestALongRunIsEndedAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		executor := New(Options{Permits: 1})
		defer executor.Close()
		model := &doubler{fixed: 100 * ms}
		i := model.warm(t, executor, InstanceOptions{})
		model.fixed = time.Hour
		for _, busy := range []bool{false, true} {
			var wg sync.WaitGroup
			if busy {
				wg.Go(func() {
					if err := ask(t.Context(), i, &Call{Deadline: time.Now().Add(50 * ms)}, 1, 1); !errors.Is(err, ErrStopped) && !errors.Is(err, ErrDeadline) {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			call := &Call{Deadline: time.Now().Add(200 * ms)}
			err := ask(t.Context(), i, call, 1, 1)
			if !errors.Is(err, ErrStopped) || call.Queued+call.Ran != 200*ms {
				t.Errorf("got %v after %v, want ErrStopped after 200ms", err, call.Queued+call.Ran)
			}
			wg.Wait()
		}
		gone, leave := context.WithCancel(t.Context())
		time.AfterFunc(30*ms, leave)
		call := &Call{Deadline: time.Now().Add(300 * ms)}
		if err := ask(gone, i, call, 1, 1); !errors.Is(err, context.Canceled) || call.Ran != 30*ms {
			t.Errorf("got %v after %v, want context.Canceled after 30ms", err, call.Ran)
		}
		stopped := false
		call = &Call{Deadline: time.Now().Add(300 * ms), Watch: func(end func()) (stop func()) {
			timer := time.AfterFunc(40*ms, end)
			return func() { stopped = !timer.Stop() }
		}}
		if err := ask(t.Context(), i, call, 1, 1); !errors.Is(err, context.Canceled) || call.Ran != 40*ms || !stopped {
			t.Errorf("watched: got %v after %v, stopped %v, want context.Canceled after 40ms", err, call.Ran, stopped)
		}
		model.fixed = 100 * ms
		call = &Call{Deadline: time.Now().Add(time.Hour), Watch: func(func()) func() {
			t.Error("a run that cannot be ended is watched")
			return func() {}
		}}
		if err := ask(t.Context(), i, call, 1, 1); err != nil {
			t.Error(err)
		}
	})
}

func TestWhoLeavesABatchEndsItForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, executor, i := batching(t, 1, InstanceOptions{})
		defer executor.Close()
		var wg sync.WaitGroup
		for n := range 4 {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if n == 2 {
				time.AfterFunc(15*ms, leave) // the batch began after 10.1ms
			}
			wg.Go(func() {
				// So little time is left that the run is one that can be ended.
				call := &Call{Deadline: time.Now().Add(30 * ms)}
				if err := ask(ctx, i, call, float32(n), 1); err != nil || call.Ran < 10*ms {
					t.Errorf("call %d: %v after %v", n, err, call.Ran)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if want := []int{1, 3}; !slices.Equal(model.runs, want) {
			t.Errorf("runs of %v rows, want %v", model.runs, want)
		}
	})
}

// TestADeviceHasTwoBatchesOfAPowerOfTwoInFlight has a device beside one core:
// while it computes one batch the next is given to it, whatever runs on the
// core, and a batch is filled up with rows that nobody asked for.
func TestADeviceHasTwoBatchesOfAPowerOfTwoInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		executor := New(Options{Permits: 1})
		defer executor.Close()
		beside := (&doubler{fixed: 100 * ms}).warm(t, executor, InstanceOptions{})
		for device, most := range map[string]int{"cuda:0": 8, "cuda:1": 6} {
			model := &doubler{fixed: 10 * ms, perRow: ms / 10}
			i := model.warm(t, executor, InstanceOptions{Device: device, MaxBatch: most})
			if plan := i.Plan(); plan.Mode != ModeWorker || plan.Workers != 2 || plan.MaxBatch != most {
				t.Errorf("%s: got %+v", device, plan)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := ask(t.Context(), beside, &Call{}, 1, 1); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			rows := 0
			var mu sync.Mutex
			for n := range 7 {
				wg.Go(func() {
					call := &Call{}
					if err := ask(t.Context(), i, call, float32(n+2), 1); err != nil || call.Queued > 11*ms {
						t.Errorf("%s: call %d: %v after %v", device, n, err, call.Queued)
					}
					mu.Lock()
					defer mu.Unlock()
					rows += call.BatchRows
				})
				synctest.Wait()
			}
			wg.Wait()
			// Two at once, then the five that waited in a bucket of eight or, at
			// the most, of six.
			if want := []int{1, 1, most}; !slices.Equal(model.runs, want) || model.most != 2 || rows != 7 {
				t.Errorf("%s: runs of %v rows, %d at once, %d rows told, want %v, 2 and 7", device, model.runs, model.most, rows, want)
			}
		}
	})
}

// TestABusyModelDoesNotStarveAnother has one instance with many callers and
// one with few, whose runs take ten times as long: both get the same time.
func TestABusyModelDoesNotStarveAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		executor := New(Options{Permits: 1})
		defer executor.Close()
		models := []*doubler{{perRow: ms}, {perRow: 10 * ms}}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for n, callers := range []int{50, 2} {
			i := models[n].warm(t, executor, InstanceOptions{})
			for range callers {
				wg.Go(func() {
					for ctx.Err() == nil {
						if err := ask(ctx, i, &Call{}, 1, 1); err != nil && !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
					}
				})
			}
		}
		time.Sleep(2 * time.Second)
		stop()
		wg.Wait()
		if short, long := len(models[0].runs), len(models[1].runs); short < 950 || long < 95 {
			t.Errorf("%d runs of 1ms and %d of 10ms in 2s, want about 1000 and 100", short, long)
		}
	})
}

// TestNoScheduleLosesACallOrRunsOneTwice runs random schedules over two models
// that share workers, one in batches, with callers that leave, deadlines and
// bad values.
func TestNoScheduleLosesACallOrRunsOneTwice(t *testing.T) {
	some := rapid.Custom(func(t *rapid.T) arrival {
		sometimes := func(name string) int { return max(0, rapid.IntRange(-30, 60).Draw(t, name)) }
		return arrival{
			gap: rapid.IntRange(0, 6).Draw(t, "gap"), run: rapid.IntRange(0, 5).Draw(t, "kind"),
			deadline: sometimes("deadline"), cancel: sometimes("cancel"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		permits := rapid.IntRange(1, 3).Draw(rt, "permits")
		delay := rapid.SampledFrom([]time.Duration{0, 0, 4 * ms}).Draw(rt, "delay")
		plan := rapid.SliceOfN(some, 1, 25).Draw(rt, "plan")
		synctest.Test(t, func(t *testing.T) { workedSchedule(t, permits, delay, plan) })
	})
}

func workedSchedule(t *testing.T, permits int, delay time.Duration, plan []arrival) {
	executor := New(Options{Permits: permits})
	defer executor.Close()
	models := []*doubler{{fixed: 10 * ms, perRow: ms / 10}, {fixed: ms, perRow: 4 * ms}}
	var instances []*Instance
	for _, m := range models {
		instances = append(instances, m.warm(t, executor, InstanceOptions{MaxBatch: 8, MaxQueueDelay: delay}))
	}
	var wg sync.WaitGroup
	for n, a := range plan {
		time.Sleep(time.Duration(a.gap) * ms)
		synctest.Wait()
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if a.cancel > 0 {
				defer time.AfterFunc(time.Duration(a.cancel)*ms, cancel).Stop()
			}
			call := &Call{}
			if a.deadline > 0 {
				call.Deadline = time.Now().Add(time.Duration(a.deadline) * ms)
			}
			model, value := models[n%2], float32(n+2)
			bad := a.run == 5
			if bad {
				value = badValue
			}
			err := ask(ctx, instances[n%2], call, value, 1+a.run%3)
			model.mu.Lock()
			runs := model.seen[value]
			model.mu.Unlock()
			switch {
			case err == nil:
				if runs < 1 || call.Ran == 0 {
					t.Errorf("call %d was answered after %d runs", n, runs)
				}
			case bad && errors.Is(err, runtime.ErrInvalidArgument):
			case errors.Is(err, ErrDeadline), errors.Is(err, ErrNoTime), errors.Is(err, ErrStopped):
				if a.deadline == 0 {
					t.Errorf("call %d without a deadline missed it", n)
				}
				if !errors.Is(err, ErrStopped) && call.Ran > 0 {
					t.Errorf("call %d was dropped and ran %v", n, call.Ran)
				}
			case errors.Is(err, context.Canceled):
				if a.cancel == 0 {
					t.Errorf("call %d ended as cancelled", n)
				}
			default:
				t.Errorf("call %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	synctest.Wait() // a worker tells its caller before it rests
	if got, want := executor.Stats(), (Stats{Permits: 2 * permits}); got != want {
		t.Errorf("after all: got %+v, want %+v", got, want)
	}
	for n, m := range models {
		if m.most > permits {
			t.Errorf("model %d: %d runs at once of %d", n, m.most, permits)
		}
		for value, rows := range m.seen {
			// A call has up to three rows, and is run again by itself once where
			// a batch failed.
			if value != badValue && rows > 6 {
				t.Errorf("model %d: rows of value %v ran %d times", n, value, rows)
			}
		}
		if got := instances[n].sessions[0].(*runtimetest.Session).Engine().HeldResults.Load(); got != 0 {
			t.Errorf("model %d: %d results are held", n, got)
		}
		if err := instances[n].Close(); err != nil {
			t.Error(err)
		}
		if got := instances[n].sessions[0].(*runtimetest.Session).Engine().Bindings.Load(); got != 0 {
			t.Errorf("model %d: %d bindings are open", n, got)
		}
	}
}
