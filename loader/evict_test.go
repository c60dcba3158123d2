package loader

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// onTerms states the terms of some versions.
func (w *world) onTerms(terms Terms, all ...Wanted) {
	m := map[Wanted]Terms{}
	for _, v := range all {
		m[v] = terms
	}
	w.manager.SetTerms(m)
	w.settle(0)
}

// evicted counts the versions that were unloaded though they are wanted.
func (w *world) evicted() (n int) {
	for _, s := range w.manager.Statuses() {
		if s.State == StateEvicted {
			n++
		}
	}
	return n
}

// use makes one request of a version.
func (w *world) use(v Wanted) {
	w.t.Helper()
	r, err := w.acquire(v)
	if err != nil {
		w.t.Fatal(err)
	}
	w.release(r)
}

func TestAnIdleVersionIsUnloadedAndBroughtBack(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{})
		w.onTerms(Terms{Idle: 10 * time.Minute}, v)
		w.want(v)
		w.settle(9 * time.Minute)
		w.use(v)
		w.settle(9 * time.Minute)
		w.expect(v, StateReady) // used meanwhile
		w.settle(3 * time.Minute)
		s := w.expect(v, StateEvicted)
		if w.instances[0].closed != 1 || w.fetched != 0 || !s.Tried() || s.Digest != v.Digest {
			t.Errorf("closed %d times, %d artifacts held: %+v", w.instances[0].closed, w.fetched, s)
		}
		w.settle(24 * time.Hour)
		if w.expect(v, StateEvicted); w.tries["1"] != 1 {
			t.Errorf("%d tries though nobody asked", w.tries["1"])
		}
		w.manager.Ask(v)
		w.manager.Ask(v)
		w.settle(0)
		if s := w.expect(v, StateReady); s.Attempt != 1 || w.tries["1"] != 2 {
			t.Errorf("%d tries: %+v", w.tries["1"], s)
		}
		w.settle(9 * time.Minute)
		w.expect(v, StateReady)
		w.settle(2 * time.Minute)
		w.expect(v, StateEvicted)
		w.want()
		w.expect(v, StateGone)
	})
}

func TestWhatIsKeptIsNotUnloaded(t *testing.T) {
	for name, terms := range map[string]Terms{"no terms": {}, "kept": {Idle: time.Minute, Keep: true}} {
		t.Run(name, func(t *testing.T) {
			simulate(t, Options{}, func(w *world) {
				v := w.version(t, "1", script{})
				w.onTerms(terms, v)
				w.want(v)
				w.settle(24 * time.Hour)
				w.expect(v, StateReady)
			})
		})
	}
	t.Run("held", func(t *testing.T) {
		simulate(t, Options{}, func(w *world) {
			v := w.version(t, "1", script{})
			w.onTerms(Terms{Idle: time.Minute}, v)
			w.want(v)
			r, err := w.acquire(v)
			if err != nil {
				t.Fatal(err)
			}
			w.settle(time.Hour)
			w.expect(v, StateReady)
			w.release(r)
			w.settle(2 * time.Minute)
			w.expect(v, StateEvicted)
		})
	})
	t.Run("kept again", func(t *testing.T) {
		simulate(t, Options{}, func(w *world) {
			v := w.version(t, "1", script{})
			w.onTerms(Terms{Idle: time.Minute}, v)
			w.want(v)
			w.settle(2 * time.Minute)
			w.expect(v, StateEvicted)
			w.onTerms(Terms{Idle: time.Minute, Keep: true}, v)
			w.expect(v, StateReady)
		})
	})
}

func TestWhoeverAsksForWhatIsOnItsWayOutGetsItBack(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{})
		w.onTerms(Terms{Idle: time.Minute}, v)
		w.want(v)
		// A use that begins at the very end holds the version up, and no more.
		w.settle(time.Minute - time.Millisecond)
		w.manager.mu.Lock()
		w.manager.tries[0].evict = true
		w.manager.mu.Unlock()
		r, err := w.acquire(v)
		if err != nil {
			t.Fatal(err)
		}
		signal(w.manager.wake)
		w.settle(0)
		w.expect(v, StateDraining)
		w.manager.Ask(v)
		w.settle(time.Hour)
		w.expect(v, StateDraining)
		w.release(r)
		w.settle(0)
		w.expect(v, StateReady)
		if len(w.instances) != 2 {
			t.Errorf("%d instances", len(w.instances))
		}
	})
}

func TestTheVersionUsedLongestAgoMakesRoom(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		w.limitMemory(400 * mib)
		var idle []Wanted
		for i := range 3 {
			idle = append(idle, w.version(t, fmt.Sprint(i), of(110, 100)))
		}
		kept := w.version(t, "kept", of(50, 50))
		w.onTerms(Terms{Idle: time.Hour}, idle...)
		w.want(append(idle, kept)...)
		for _, i := range []int{1, 0, 2} {
			w.settle(10 * time.Minute)
			w.use(idle[i])
		}
		w.settle(10 * time.Minute)
		next := w.version(t, "next", of(200, 150))
		w.want(append(idle, kept, next)...)
		s := w.expect(next, StateFailed)
		if s.Reason != "needs 200 MiB, 50 MiB are left of 400 MiB: idle versions are unloaded for it" {
			t.Errorf("got %+v", s)
		}
		w.settle(time.Second)
		w.expect(next, StateReady)
		w.expect(idle[1], StateEvicted)
		w.expect(idle[0], StateEvicted)
		w.expect(idle[2], StateReady)
		w.expect(kept, StateReady)

		// What is asked for comes back at the cost of another one.
		w.use(idle[2])
		w.manager.Ask(idle[0])
		w.settle(30 * time.Second)
		w.expect(idle[0], StateFailed)
		w.expect(idle[2], StateReady)
		w.settle(2 * time.Minute)
		w.expect(idle[0], StateReady)
		w.expect(idle[2], StateEvicted)
	})
}

func TestNothingIsUnloadedForWhatWouldNotFitThen(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		w.limitMemory(400 * mib)
		idle, kept := w.version(t, "1", of(100, 100)), w.version(t, "2", of(100, 100))
		w.onTerms(Terms{Idle: time.Hour}, idle)
		w.want(idle, kept)
		w.settle(10 * time.Minute)
		next := w.version(t, "3", of(301, 150))
		w.want(idle, kept, next)
		w.settle(10 * time.Minute)
		if s := w.expect(next, StateFailed); !strings.HasSuffix(s.Reason, "it is tried again when there is room") {
			t.Errorf("got %+v", s)
		}
		w.expect(idle, StateReady)
		w.expect(kept, StateReady)
	})
}

func TestWhatWasUsedJustNowMakesNoRoom(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		w.limitMemory(150 * mib)
		idle := w.version(t, "1", of(100, 100))
		w.onTerms(Terms{Idle: time.Hour}, idle)
		w.want(idle)
		next := w.version(t, "2", of(100, 100))
		w.want(idle, next)
		for range 5 {
			w.settle(30 * time.Second)
			w.use(idle)
			w.expect(next, StateFailed)
		}
		w.settle(2 * time.Minute)
		w.expect(next, StateReady)
		w.expect(idle, StateEvicted)
	})
}
