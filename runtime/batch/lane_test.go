package batch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// arrival is one caller of a random schedule, in milliseconds.
type arrival struct {
	gap, run, deadline, cancel int
}

// TestNoScheduleLosesAPermitOrBreaksTheOrder runs random schedules of callers
// that wait, give up and miss their deadlines, in simulated time.
func TestNoScheduleLosesAPermitOrBreaksTheOrder(t *testing.T) {
	some := rapid.Custom(func(t *rapid.T) arrival {
		sometimes := func(name string) int { return max(0, rapid.IntRange(-30, 40).Draw(t, name)) }
		return arrival{
			gap: rapid.IntRange(0, 6).Draw(t, "gap"), run: rapid.IntRange(0, 12).Draw(t, "run"),
			deadline: sometimes("deadline"), cancel: sometimes("cancel"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		total := rapid.IntRange(1, 3).Draw(rt, "permits")
		limit := rapid.IntRange(-1, 6).Draw(rt, "limit")
		plan := rapid.SliceOfN(some, 1, 25).Draw(rt, "plan")
		synctest.Test(t, func(t *testing.T) { schedule(t, total, limit, plan) })
	})
}

func schedule(t *testing.T, total, limit int, plan []arrival) {
	executor := New(Options{Permits: total})
	instance := executor.Instance(sleeper(), InstanceOptions{QueueLimit: limit})
	room := instance.Stats().QueueLimit
	begun := make([]time.Time, len(plan)) // zero for calls that were not run
	var wg sync.WaitGroup
	for n, a := range plan {
		time.Sleep(time.Duration(a.gap) * ms)
		synctest.Wait() // the callers before have a permit, a place or an answer
		before := executor.Stats()
		if before.Queued > 0 && before.Busy < total {
			t.Errorf("%d calls wait although %d of %d permits are free", before.Queued, total-before.Busy, total)
		}
		wg.Go(func() {
			ctx, cancel := context.WithCancel(lasting(t.Context(), time.Duration(a.run)*ms))
			defer cancel()
			if a.cancel > 0 {
				defer time.AfterFunc(time.Duration(a.cancel)*ms, cancel).Stop()
			}
			call := newCall(time.Duration(a.deadline) * ms)
			arrived := time.Now()
			res, err := instance.Run(ctx, call)
			res.Release()
			switch {
			case err == nil:
				begun[n] = arrived.Add(call.Queued)
			case errors.Is(err, ErrQueueFull):
				if before.Queued < room || before.Busy < total {
					t.Errorf("call %d was shed with %d queued of %d and %d busy", n, before.Queued, room, before.Busy)
				}
			case errors.Is(err, ErrDeadline), errors.Is(err, ErrNoTime):
				if a.deadline == 0 {
					t.Errorf("call %d without a deadline missed it", n)
				}
			case errors.Is(err, context.Canceled):
				if a.cancel == 0 || time.Since(arrived) < time.Duration(a.cancel)*ms {
					t.Errorf("call %d ended as cancelled after %v", n, time.Since(arrived))
				}
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, want := executor.Stats(), (Stats{Permits: total}); got != want {
		t.Errorf("after all: got %+v, want %+v", got, want)
	}
	latest := time.Time{}
	for n, at := range begun {
		if !at.IsZero() && at.Before(latest) {
			t.Errorf("call %d began before one that came earlier", n)
		}
		if at.After(latest) {
			latest = at
		}
	}
}

// TestManyGoroutinesNeverHoldMoreThanAllPermits is for the race detector: real
// time, real contention.
func TestManyGoroutinesNeverHoldMoreThanAllPermits(t *testing.T) {
	const total = 3
	p := newLane(total)
	l := &line{limit: 1000}
	var holders atomic.Int64
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for n := range 300 {
				ctx, cancel := context.WithCancel(context.Background())
				if (g+n)%5 == 0 {
					cancel()
				}
				deadline := time.Time{}
				if (g+n)%7 == 0 {
					deadline = time.Now().Add(time.Duration(n) * time.Microsecond)
				}
				if _, err := p.acquire(ctx, l, deadline, time.Now(), 1); err == nil {
					if now := holders.Add(1); now > total {
						t.Errorf("%d permits held of %d", now, total)
					}
					holders.Add(-1)
					p.release()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if busy, queued := p.use(); busy != 0 || queued != 0 || l.queued != 0 || l.first != nil {
		t.Errorf("after all: %d busy, %d and %d queued", busy, queued, l.queued)
	}
}
