package loader

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/probe"
)

const mib = 1 << 20

// of is a script of a version that takes so much memory at most and in the end.
func of(peak, held int64) script { return script{cost: Cost{Peak: peak * mib, Held: held * mib}} }

func TestAVersionThatDoesNotFitIsRefusedWithNumbers(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		w.limitMemory(1024 * mib)
		serving, large := w.version(t, "1", of(900, 844)), w.version(t, "2", of(412, 400))
		w.want(serving)
		w.expect(serving, StateReady)
		w.want(serving, large)
		s := w.expect(large, StateFailed)
		if want := "needs 412 MiB, 180 MiB are left of 1024 MiB: it is tried again when there is room"; s.Reason != want || s.Permanent {
			t.Errorf("got %+v, want %s", s, want)
		}
		if s.Cost != (Cost{Peak: 412 * mib, Held: 400 * mib}) {
			t.Errorf("got cost %+v", s.Cost)
		}
		// It is not fetched and read again for nothing, and what serves serves.
		w.settle(10 * time.Minute)
		if w.expect(large, StateFailed); w.tries["2"] != 1 || len(w.instances) != 1 {
			t.Errorf("%d fetches, %d instances opened", w.tries["2"], len(w.instances))
		}
		w.expect(serving, StateReady)
		// The room of what drains comes when its last user lets go.
		held, err := w.acquire(serving)
		if err != nil {
			t.Fatal(err)
		}
		w.want(large)
		w.settle(time.Minute)
		w.expect(large, StateFailed)
		w.release(held)
		w.settle(time.Second)
		w.expect(large, StateReady)
	})
}

func TestAHigherLimitIsNoticed(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		w.limitMemory(100 * mib)
		v := w.version(t, "1", of(101, 90))
		w.want(v)
		w.expect(v, StateFailed)
		w.limitMemory(101 * mib)
		w.settle(maxBackoff)
		w.expect(v, StateReady)
	})
}

func TestVersionsThatAreOpenedAtOnceShareTheRoom(t *testing.T) {
	simulate(t, Options{Concurrency: 3}, func(w *world) {
		w.limitMemory(250 * mib)
		slow := of(200, 100)
		slow.openTime = 10 * time.Second
		a, b, c := w.version(t, "1", slow), w.version(t, "2", of(150, 100)), w.version(t, "3", of(200, 100))
		w.want(a)
		w.want(a, b)
		// Side by side they do not fit, one after the other they do.
		if s := w.expect(b, StateProbing); s.Reason != "" {
			t.Errorf("got %+v", s)
		}
		w.settle(10 * time.Second)
		w.expect(a, StateReady)
		w.expect(b, StateReady)
		w.want(a, b, c)
		if s := w.expect(c, StateFailed); !strings.HasPrefix(s.Reason, "needs 200 MiB, 50 MiB are left of 250 MiB") {
			t.Errorf("got %+v", s)
		}
	})
}

func TestAWaitForRoomEndsWithTheWish(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		w.limitMemory(250 * mib)
		slow := of(200, 100)
		slow.openTime = time.Hour
		a, b := w.version(t, "1", slow), w.version(t, "2", of(200, 100))
		w.want(a)
		w.want(a, b)
		w.expect(b, StateProbing)
		w.want(a)
		w.expect(b, StateGone)
	})
}

func TestWhatIsNotMeasuredCostsItsFiles(t *testing.T) {
	for _, c := range []struct {
		name     string
		sessions int
		report   probe.Report
		want     Cost
	}{
		{"measured", 0, probe.Report{PeakMemory: 30, HeldMemory: 20}, Cost{Peak: 30, Held: 20}},
		{"several sessions", 3, probe.Report{PeakMemory: 30, HeldMemory: 20}, Cost{Peak: 70, Held: 60}},
		{"not measured", 1, probe.Report{}, Cost{Peak: 7, Held: 7}},
		{"not measured, several sessions", 2, probe.Report{}, Cost{Peak: 14, Held: 14}},
		{"nothing held in the end", 1, probe.Report{PeakMemory: 5, HeldMemory: -3}, Cost{Peak: 5}},
	} {
		if got := costOf(Wanted{Instances: c.sessions}, c.report, 7); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// That a child took all there was is no verdict on the artifact.
func TestATryWithoutRoomIsALackOfMemory(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{probe: fmt.Errorf("a child: %w", &probe.NoRoom{Left: 70 * mib})})
		w.limitMemory(100 * mib)
		w.want(v)
		const want = "needs more than the 70 MiB of memory that are left to try it, of 100 MiB: it is tried again when there is room"
		if s := w.expect(v, StateFailed); s.Reason != want || s.Permanent {
			t.Errorf("got %+v", s)
		}
		// The one that was used longest ago goes first, one after the other.
		for i := range 2 {
			idle := w.version(t, fmt.Sprint("idle ", i), of(10, 10))
			w.onTerms(Terms{Idle: time.Hour}, w.version(t, "idle 0", of(10, 10)), idle)
			w.want(append(w.manager.wanted, idle)...)
		}
		w.settle(2 * time.Minute)
		if s := w.expect(v, StateFailed); !strings.HasSuffix(s.Reason, "when there is room") || w.evicted() != 2 {
			t.Errorf("got %+v with %d unloaded", s, w.evicted())
		}
		w.version(t, "1", script{})
		w.settle(maxBackoff)
		w.expect(v, StateReady)
	})
}
