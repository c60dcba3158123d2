package batch

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// pair is an executor of two cores with a model whose runs are short and one
// whose runs take 4ms.
func pair(t *testing.T, options InstanceOptions) (model *doubler, executor *Executor, short, long *Instance) {
	executor = New(Options{Permits: 2})
	short = executor.Instance(sleeper(), InstanceOptions{})
	model = &doubler{fixed: 4 * ms}
	long = model.warm(t, executor, options)
	if plan := long.Plan(); plan.Mode != ModeWorker {
		t.Errorf("got %+v", plan)
	}
	return model, executor, short, long
}

// askShort makes a short run of no time.
func askShort(t *testing.T, short *Instance) {
	t.Helper()
	res, err := short.Run(t.Context(), newCall(0))
	res.Release()
	if err != nil {
		t.Error(err)
	}
}

// queued makes calls at once and returns how long each waited, in order.
func queued(t *testing.T, long *Instance, calls int) []time.Duration {
	t.Helper()
	waits := make([]time.Duration, calls)
	var wg sync.WaitGroup
	for n := range calls {
		wg.Go(func() {
			call := &Call{}
			if err := ask(t.Context(), long, call, float32(n), 1); err != nil {
				t.Errorf("call %d: %v", n, err)
			}
			waits[n] = call.Queued
		})
		synctest.Wait()
	}
	wg.Wait()
	synctest.Wait() // a worker tells its caller before it rests
	return waits
}

func TestLongRunsLeaveAPlaceWhileShortOnesAreMade(t *testing.T) {
	f := func(calls int, want ...time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			model, executor, short, long := pair(t, InstanceOptions{})
			defer executor.Close()
			askShort(t, short)
			if got := queued(t, long, calls); !slices.Equal(got, want) {
				t.Errorf("calls waited %v, want %v", got, want)
			}
			if got := model.engine.AsideRuns.Load(); got != int64(calls) {
				t.Errorf("%d of %d runs were made aside", got, calls)
			}
			if got, want := executor.Stats(), (Stats{Permits: 4}); got != want {
				t.Errorf("after all: got %+v, want %+v", got, want)
			}
		})
	}
	f(2, 0, 4*ms)
	f(3, 0, 4*ms, 8*ms)
	// The seventh makes it 28ms of work: the kept place helps until it is less,
	// and later since no short run was made lately.
	f(7, 0, 0, 4*ms, 8*ms, 12*ms, 12*ms, 16*ms)
}

func TestLongRunsTakeAllPlacesOnceNoShortOnesAreMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, executor, short, long := pair(t, InstanceOptions{})
		defer executor.Close()
		askShort(t, short)
		if got, want := queued(t, long, 2), []time.Duration{0, 4 * ms}; !slices.Equal(got, want) {
			t.Errorf("beside a short run calls waited %v, want %v", got, want)
		}
		time.Sleep(lately)
		before := model.engine.AsideRuns.Load()
		if got, want := queued(t, long, 2), []time.Duration{0, 0}; !slices.Equal(got, want) {
			t.Errorf("by themselves calls waited %v, want %v", got, want)
		}
		if got := model.engine.AsideRuns.Load() - before; got != 1 {
			t.Errorf("%d runs were made aside, want one: the first found all idle", got)
		}
	})
}

// TestLongRunsTakeAllPlacesWhereTheyNeedThem has four callers for whom one place
// is too little, and short runs all the time.
func TestLongRunsTakeAllPlacesWhereTheyNeedThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, executor, short, long := pair(t, InstanceOptions{})
		defer executor.Close()
		begin := time.Now()
		busiest := func(until time.Duration) int {
			model.mu.Lock()
			model.most = 0
			model.mu.Unlock()
			for time.Since(begin) < until {
				askShort(t, short)
				time.Sleep(ms)
			}
			model.mu.Lock()
			defer model.mu.Unlock()
			return model.most
		}
		askShort(t, short)
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				for time.Since(begin) < 200*ms {
					if err := ask(t.Context(), long, &Call{}, float32(n), 1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		if got := busiest(steady); got != 1 {
			t.Errorf("up to %d runs at once at first, want 1", got)
		}
		if got := busiest(200 * ms); got != 2 {
			t.Errorf("up to %d runs at once later, want 2", got)
		}
		wg.Wait()
	})
}

func TestNobodyIsRefusedForTheSakeOfAKeptPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, executor, short, long := pair(t, InstanceOptions{QueueLimit: -1})
		defer executor.Close()
		askShort(t, short)
		if got, want := queued(t, long, 2), []time.Duration{0, 0}; !slices.Equal(got, want) {
			t.Errorf("calls that may not wait waited %v, want %v", got, want)
		}
	})
}

// TestNoScheduleLosesAKeptPlace runs random schedules of short and long calls,
// some of which leave.
func TestNoScheduleLosesAKeptPlace(t *testing.T) {
	type arrival struct {
		short          bool
		gap, run, gone int
	}
	some := rapid.Custom(func(t *rapid.T) arrival {
		return arrival{
			short: rapid.Bool().Draw(t, "short"), gap: rapid.IntRange(0, 6).Draw(t, "gap"),
			run: rapid.IntRange(1, 12).Draw(t, "run"), gone: max(0, rapid.IntRange(-30, 20).Draw(t, "gone")),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		places := rapid.IntRange(1, 4).Draw(rt, "places")
		plan := rapid.SliceOfN(some, 1, 25).Draw(rt, "plan")
		synctest.Test(t, func(t *testing.T) {
			executor := New(Options{Permits: places})
			defer executor.Close()
			short := executor.Instance(sleeper(), InstanceOptions{})
			long := executor.Instance(sleeper(), InstanceOptions{})
			long.choose(WarmReport{Runs: []WarmRun{{Rows: 1, Best: 4 * ms}}}, "not here", nil)
			var wg sync.WaitGroup
			for n, a := range plan {
				time.Sleep(time.Duration(a.gap) * ms)
				synctest.Wait()
				executor.long.mu.Lock()
				busy := executor.long.places - int(max(0, executor.long.free.Load()))
				if executor.long.kept && busy < 2 {
					t.Errorf("before call %d a place is kept while %d others are used", n, busy-1)
				}
				executor.long.mu.Unlock()
				wg.Go(func() {
					ctx, cancel := context.WithCancel(lasting(t.Context(), time.Duration(a.run)*ms))
					defer cancel()
					if a.gone > 0 {
						defer time.AfterFunc(time.Duration(a.gone)*ms, cancel).Stop()
					}
					instance := long
					if a.short {
						instance = short
					}
					res, err := instance.Run(ctx, newCall(0))
					res.Release()
					if err != nil && a.gone == 0 {
						t.Errorf("call %d: %v", n, err)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			if got := executor.Stats(); got.Busy != 0 || got.Queued != 0 {
				t.Errorf("after all: %+v", got)
			}
			l := executor.long
			if l.kept || l.free.Load() != int64(l.places) || l.running.Load() != 0 || l.work.Load() != 0 {
				t.Errorf("after all: kept %v, %d of %d places free, %d and %d of work", l.kept, l.free.Load(), l.places, l.running.Load(), l.work.Load())
			}
		})
	})
}
