package batch

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// takes is the key under which a call's context holds how long its run takes.
type takes struct{}

func lasting(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, takes{}, d)
}

// sleeper is a fake whose runs take simulated time.
func sleeper() *runtimetest.Session {
	return runtimetest.NewSession(&runtimetest.Fake{
		Signature: runtime.Signature{
			Inputs:  []runtime.TensorSpec{{Name: "x", Type: runtime.FP32, Shape: []int64{runtime.Dynamic}}},
			Outputs: []runtime.TensorSpec{{Name: "y", Type: runtime.FP32, Shape: []int64{runtime.Dynamic}}},
		},
		Before: func(ctx context.Context) error {
			if d, ok := ctx.Value(takes{}).(time.Duration); ok {
				time.Sleep(d)
			}
			return nil
		},
	})
}

func newCall(deadline time.Duration) *Call {
	call := &Call{Inputs: []runtime.Tensor{runtimetest.FP32("x", []int64{1}, 1)}}
	if deadline != 0 {
		call.Deadline = time.Now().Add(deadline)
	}
	return call
}

const ms = time.Millisecond

// TestCallsOfAnInstanceRunInTheOrderOfArrival also holds that two instances
// that wait take turns, whoever came first.
func TestCallsOfAnInstanceRunInTheOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		executor := New(Options{Permits: 1})
		instances := []*Instance{executor.Instance(sleeper(), InstanceOptions{}), executor.Instance(sleeper(), InstanceOptions{})}
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		// 0 runs at once, 1 to 9 wait at the first, 10 to 19 at the second.
		for n := range 20 {
			wg.Go(func() {
				call := newCall(0)
				res, err := instances[n/10].Run(lasting(t.Context(), 10*ms), call)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				if want := time.Duration(len(order)) * 10 * ms; call.Queued != want || call.Ran != 10*ms || call.BatchRows != 1 {
					t.Errorf("call %d waited %v and ran %v with %d rows, want %v, 10ms and 1", n, call.Queued, call.Ran, call.BatchRows, want)
				}
				order = append(order, n)
				mu.Unlock()
				res.Release()
			})
			synctest.Wait()
		}
		if got, want := executor.Stats(), (Stats{Permits: 1, Busy: 1, Queued: 19}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if a, b := instances[0].Stats().Queued, instances[1].Stats().Queued; a != 9 || b != 10 {
			t.Errorf("%d and %d calls wait at the instances, want 9 and 10", a, b)
		}
		wg.Wait()
		want := []int{0, 1, 10, 2, 11, 3, 12, 4, 13, 5, 14, 6, 15, 7, 16, 8, 17, 9, 18, 19}
		if !slices.Equal(order, want) {
			t.Errorf("calls ran in the order %v, want %v", order, want)
		}
		if got, want := executor.Stats(), (Stats{Permits: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestTheWaitIsZeroOnlyWhereAPlaceIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		executor := New(Options{Permits: 1})
		instance := executor.Instance(sleeper(), InstanceOptions{})
		other := executor.Instance(sleeper(), InstanceOptions{})
		waits := func(least, most time.Duration) {
			t.Helper()
			for _, i := range []*Instance{instance, other} {
				if wait := i.Wait(); wait < least || wait > most {
					t.Errorf("the wait is %v, want %v to %v", wait, least, most)
				}
			}
		}
		var wg sync.WaitGroup
		waits(0, 0)
		for range 3 { // nobody knows yet how long one takes
			wg.Go(func() {
				if _, err := instance.Run(lasting(t.Context(), 100*ms), newCall(0)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			waits(1, ms)
		}
		wg.Wait()
		waits(0, 0)
	})
}

func TestAQueueIsBoundedPerInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		executor := New(Options{Permits: 1})
		full := executor.Instance(sleeper(), InstanceOptions{QueueLimit: 2})
		none := executor.Instance(sleeper(), InstanceOptions{QueueLimit: -1})
		other := executor.Instance(sleeper(), InstanceOptions{})
		var wg sync.WaitGroup
		start := func(i *Instance) {
			wg.Go(func() {
				if _, err := i.Run(lasting(t.Context(), time.Second), newCall(0)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		refused := func(i *Instance) {
			t.Helper()
			call := newCall(0)
			if _, err := i.Run(t.Context(), call); !errors.Is(err, ErrQueueFull) || call.Ran != 0 {
				t.Errorf("got %v after %v, want ErrQueueFull", err, call.Ran)
			}
		}
		start(full)
		refused(none)
		start(full)
		start(full)
		refused(full)
		start(other)
		if got := full.Stats(); got.Queued != 2 || got.QueueLimit != 2 {
			t.Errorf("got %+v, want 2 of 2 queued", got)
		}
		if got := other.Stats().QueueLimit; got != DefaultQueueLimit {
			t.Errorf("queue limit is %d, want %d", got, DefaultQueueLimit)
		}
		wg.Wait()
		start(none) // a free permit needs no queue
		wg.Wait()
	})
}

func TestADeadlineEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		executor := New(Options{Permits: 1})
		instance := executor.Instance(sleeper(), InstanceOptions{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := instance.Run(lasting(t.Context(), 100*ms), newCall(0)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		f := func(ctx context.Context, deadline, waits time.Duration, want error) {
			wg.Go(func() {
				call := newCall(deadline)
				_, err := instance.Run(ctx, call)
				if !errors.Is(err, want) || call.Queued != waits || call.Ran != 0 {
					t.Errorf("got %v after %v in the queue and %v of run, want %v after %v", err, call.Queued, call.Ran, want, waits)
				}
			})
		}
		soon, cancel := context.WithTimeout(t.Context(), 30*ms)
		defer cancel()
		gone, leave := context.WithCancel(t.Context())
		past, cancelPast := context.WithDeadline(t.Context(), time.Now().Add(-ms))
		defer cancelPast()
		f(t.Context(), 20*ms, 20*ms, ErrDeadline)
		f(soon, 0, 30*ms, ErrDeadline)
		f(gone, time.Second, 40*ms, context.Canceled)
		f(t.Context(), -ms, 0, ErrDeadline)
		f(past, 0, 0, ErrDeadline)
		time.Sleep(40 * ms)
		leave()
		wg.Wait()
	})
}

func TestACallThatCannotMeetItsDeadlineIsDroppedAtItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		session := sleeper()
		instance := New(Options{Permits: 1}).Instance(session, InstanceOptions{})
		run := func(lasts, deadline time.Duration) (*Call, error) {
			call := newCall(deadline)
			_, err := instance.Run(lasting(t.Context(), lasts), call)
			return call, err
		}
		if _, err := run(50*ms, 0); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := run(50*ms, 0); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() { // at its turn 30ms are left, and no run was under 50ms
			call, err := run(50*ms, 80*ms)
			if !errors.Is(err, ErrDeadline) || call.Queued != 50*ms || call.Ran != 0 {
				t.Errorf("got %v after %v, want ErrDeadline after 50ms", err, call.Queued)
			}
		})
		synctest.Wait()
		wg.Go(func() { // behind it, with time enough
			if call, err := run(50*ms, 110*ms); err != nil || call.Queued != 50*ms {
				t.Errorf("got %v after %v, want it run after 50ms", err, call.Queued)
			}
		})
		wg.Wait()
		if got := session.Engine().Runs.Load(); got != 3 {
			t.Errorf("%d runs, want 3", got)
		}
	})
}

func TestACallWithoutTimeForARunIsNotRunWhereAPlaceIsFree(t *testing.T) {
	for name, long := range map[string]bool{"in its caller's goroutine": false, "on an idle lane": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				executor := New(Options{Permits: 1})
				defer executor.Close()
				session := sleeper()
				instance := executor.Instance(session, InstanceOptions{})
				if long {
					instance.way.Store(&way{lane: executor.long, worked: true, line: &line{limit: 1, maxRows: 1}})
				}
				takes, runs := 60*ms, session.Engine().Runs.Load
				run := func(deadline time.Duration) error {
					_, err := instance.Run(lasting(t.Context(), takes), newCall(deadline))
					return err
				}
				if err := run(0); err != nil {
					t.Fatal(err)
				}
				refused, before := 0, runs()
				for range 20 * tried {
					if errors.Is(run(10*ms), ErrNoTime) {
						refused++
					}
				}
				if ran := runs() - before; ran != 20 || refused != 20*(tried-1) {
					t.Errorf("of %d calls without time %d were run and %d refused, want 20 run", 20*tried, ran, refused)
				}
				if err := run(30 * ms); errors.Is(err, ErrNoTime) {
					t.Error("a call with half the time of a run is not run")
				}
				// A model that has become faster is noticed.
				takes = ms
				for try := 1; run(10*ms) != nil; try++ {
					if try == tried {
						t.Fatalf("%d calls in a row were refused", try)
					}
				}
				for range tried {
					if err := run(10 * ms); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// TestDropsDoNotGoOnForEver holds that a model which became faster is noticed
// although everything that waits for it is dropped.
func TestDropsDoNotGoOnForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		executor := New(Options{Permits: 1})
		instance := executor.Instance(sleeper(), InstanceOptions{})
		other := executor.Instance(sleeper(), InstanceOptions{})
		if _, err := instance.Run(lasting(t.Context(), time.Second), newCall(0)); err != nil {
			t.Fatal(err)
		}
		for try := range 100 {
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := other.Run(lasting(t.Context(), 10*ms), newCall(0)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			_, err := instance.Run(lasting(t.Context(), ms), newCall(20*ms))
			wg.Wait()
			if err == nil {
				t.Logf("run again at try %d", try)
				return
			}
			if !errors.Is(err, ErrDeadline) {
				t.Fatal(err)
			}
		}
		t.Error("100 calls in a row were dropped")
	})
}

func TestTheWaitIsEstimatedFromTheWorkThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		executor := New(Options{Permits: 2})
		long, short := executor.Instance(sleeper(), InstanceOptions{}), executor.Instance(sleeper(), InstanceOptions{})
		var wg sync.WaitGroup
		start := func(i *Instance, takes time.Duration) {
			wg.Go(func() {
				if _, err := i.Run(lasting(t.Context(), takes), newCall(0)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		want := func(i *Instance, want time.Duration) {
			t.Helper()
			if got := i.Wait(); got != want {
				t.Errorf("got a wait of %v, want %v", got, want)
			}
		}
		start(long, 100*ms)
		start(short, 20*ms)
		want(long, 1) // for how long nobody knows yet
		wg.Wait()
		start(long, 100*ms)
		want(short, 0)
		start(long, 100*ms)
		want(short, 5*ms) // half a run, over two permits
		start(long, 100*ms)
		start(short, 20*ms)
		want(long, 85*ms) // 100ms and 20ms wait, and half of 100ms
		wg.Wait()
		want(long, 0)
	})
}

func TestErrorsOfTheModelPassAndGiveThePermitBack(t *testing.T) {
	wrong := errors.New("wrong")
	var fail func() error
	session := runtimetest.NewSession(&runtimetest.Fake{
		Before: func(context.Context) error { return fail() }, CloseErr: wrong,
	})
	executor := New(Options{Permits: 1})
	instance := executor.Instance(session, InstanceOptions{Name: "m", Version: "7"})
	for range 3 {
		fail = func() error { return fmt.Errorf("%w: id", runtime.ErrInvalidArgument) }
		if _, err := instance.Run(t.Context(), &Call{}); !errors.Is(err, runtime.ErrInvalidArgument) {
			t.Errorf("got %v, want ErrInvalidArgument", err)
		}
		fail = func() error { panic("boom") }
		_, err := instance.Run(t.Context(), &Call{})
		if !errors.Is(err, ErrPanic) || !strings.Contains(err.Error(), "model m version 7") || !strings.Contains(err.Error(), "boom") {
			t.Errorf("got %v, want ErrPanic with model, version and value", err)
		}
	}
	if got, want := executor.Stats(), (Stats{Permits: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := instance.Close(); !errors.Is(err, wrong) {
		t.Errorf("close: got %v, want the session's error", err)
	}
	if got := session.Engine().OpenSessions.Load(); got != 0 {
		t.Errorf("%d sessions open after close", got)
	}
}

func TestPermitsFollowTheCores(t *testing.T) {
	if got, want := New(Options{}).Stats().Permits, goruntime.GOMAXPROCS(0); got != want {
		t.Errorf("%d permits, want %d", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("negative permits: no panic")
		}
	}()
	New(Options{Permits: -1})
}
