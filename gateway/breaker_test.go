package gateway

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ends runs once through the breaker, as the data path does, and reports
// whether it was let through.
func (b *breaker) ends(ended outcome) bool {
	p, ok := b.enter()
	if ok {
		b.leave(p, 0, ended, time.Now())
	}
	return ok
}

func (b *breaker) wants(t *testing.T, want breakerState) {
	t.Helper()
	if got := b.state(); got != want {
		t.Errorf("%s, want %s", breakerStateNames[got], breakerStateNames[want])
	}
}

func TestABreakerOpensAtTwentyRunsOfWhichHalfFailed(t *testing.T) {
	for _, c := range []struct {
		good, bad int
		want      breakerState
	}{
		{0, 19, breakerClosed}, {0, 20, breakerOpen}, {10, 9, breakerClosed}, {10, 10, breakerOpen},
		{11, 10, breakerClosed}, {1000, 999, breakerClosed}, {1000, 1000, breakerOpen},
	} {
		t.Run(fmt.Sprintf("%d good, %d bad", c.good, c.bad), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(nil)
				for range c.good {
					b.ends(outcomeOK)
				}
				for range c.bad {
					b.ends(outcomeModelError)
				}
				b.wants(t, c.want)
			})
		})
	}
}

func TestABreakerLooksAtTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for range 19 {
			b.ends(outcomeTimeout)
		}
		time.Sleep(10 * time.Second)
		b.ends(outcomeTimeout)
		b.wants(t, breakerClosed)
		for range 18 {
			b.ends(outcomeTimeout)
		}
		time.Sleep(9 * time.Second)
		b.ends(outcomeTimeout)
		b.wants(t, breakerOpen)
	})
}

func TestWhatSaysNothingAboutTheVersionDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for _, ended := range []outcome{outcomeClientError, outcomeShed, outcomeCancelled, outcomeNonFinite} {
			for range 100 {
				b.ends(ended)
			}
		}
		for range 19 {
			b.ends(outcomeModelError)
		}
		b.wants(t, breakerClosed)
		b.ends(outcomeModelError)
		b.wants(t, breakerOpen)
		time.Sleep(breakerOpenFor + 1)
		// In the half-open state they leave their place to others.
		for range 100 {
			if !b.ends(outcomeCancelled) {
				t.Fatal("a probe that said nothing kept its place")
			}
		}
		for range breakerProbes {
			b.ends(outcomeOK)
		}
		b.wants(t, breakerClosed)
	})
}

// trip opens a breaker that has seen less than a hundred successes.
func (b *breaker) trip() {
	for range 100 {
		b.ends(outcomeModelError)
	}
}

func TestAnOpenBreakerLetsProbesThroughAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := 0
		b := newBreaker(func() { changes++ })
		b.trip()
		time.Sleep(breakerOpenFor)
		if b.ends(outcomeOK) {
			t.Error("let through while open")
		}
		time.Sleep(time.Nanosecond)
		b.wants(t, breakerHalfOpen)
		var passes []pass
		for range breakerProbes {
			p, ok := b.enter()
			if !ok {
				t.Fatal("a probe was refused")
			}
			passes = append(passes, p)
		}
		if _, ok := b.enter(); ok {
			t.Error("more probes at once than there may be")
		}
		for i, p := range passes {
			if i > 0 {
				b.wants(t, breakerHalfOpen)
			}
			b.leave(p, 0, outcomeOK, time.Now())
		}
		b.wants(t, breakerClosed)
		if changes != 3 {
			t.Errorf("told of %d changes, want 3", changes)
		}
		// The failures from before are not seen again.
		b.ends(outcomeModelError)
		b.wants(t, breakerClosed)
		b.trip()
		time.Sleep(breakerOpenFor + 1)
		b.ends(outcomeOK)
		b.ends(outcomeModelError) // one bad probe is enough
		b.wants(t, breakerOpen)
	})
}

func TestARunThatBeganUnderAnotherStateDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		var late []pass
		for range 100 {
			p, _ := b.enter()
			late = append(late, p)
		}
		b.trip()
		leave := func(n int) {
			for range n {
				b.leave(late[0], 0, outcomeModelError, time.Now())
				late = late[1:]
			}
		}
		leave(20)
		b.wants(t, breakerOpen)
		time.Sleep(breakerOpenFor + 1)
		b.wants(t, breakerHalfOpen)
		leave(20)
		b.wants(t, breakerHalfOpen)
		for range breakerProbes {
			b.ends(outcomeOK)
		}
		leave(60)
		b.wants(t, breakerClosed)
	})
}

func TestAWindowCountsExactlyFromManyGoroutines(t *testing.T) {
	w := &breakerWindow{start: time.Now()}
	now := w.start
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				w.count(uint8(g%2), i%2 == 0, now)
			}
		})
	}
	wg.Wait()
	runs, failures := uint64(0), uint64(0)
	for s := range w.stripes {
		slot := w.stripes[s].slots[1].Load()
		runs += slot >> slotCountBits & slotCountMask
		failures += slot & slotCountMask
	}
	if runs != 20000 || failures != 10000 {
		t.Errorf("%d runs and %d failures, want 20000 and 10000", runs, failures)
	}
	for range slotCountMask {
		w.count(0, false, now)
	}
	if got := w.stripes[0].slots[1].Load() >> slotCountBits & slotCountMask; got != slotCountMask || w.trips(now) {
		t.Errorf("%d runs in a full slot", got)
	}
}

func TestAVersionWithoutABreakerIsNeverRefused(t *testing.T) {
	var b *breaker
	b.trip()
	b.wants(t, breakerClosed)
}

func BenchmarkBreaker(b *testing.B) {
	ours := newBreaker(nil)
	run := func() {
		p, ok := ours.enter()
		if !ok {
			b.Fatal("open")
		}
		ours.leave(p, 0, outcomeOK, ours.window.start)
	}
	theirs := gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{Interval: breakerSeconds * time.Second, BucketPeriod: time.Second})
	for name, once := range map[string]func(){"window": run, "gobreaker": func() {
		done, err := theirs.Allow()
		if err != nil {
			b.Fatal(err)
		}
		done(nil)
	}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
	b.Run("window, parallel", func(b *testing.B) {
		var stripes atomic.Uint32
		b.RunParallel(func(pb *testing.PB) {
			stripe := uint8(stripes.Add(1))
			for pb.Next() {
				p, _ := ours.enter()
				ours.leave(p, stripe, outcomeOK, ours.window.start)
			}
		})
	})
	b.Run("gobreaker, parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				done, _ := theirs.Allow()
				done(nil)
			}
		})
	})
}

// halfOpen returns a breaker that has just begun to let probes through.
func halfOpen() *breaker {
	b := newBreaker(nil)
	b.machine = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: breakerProbes, Timeout: time.Nanosecond, ReadyToTrip: func(gobreaker.Counts) bool { return true }, OnStateChange: b.stateChanged,
		IsExcluded: func(err error) bool { return err == errBreakerExcluded },
	})
	b.ends(outcomeModelError)
	return b
}
