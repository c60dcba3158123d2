package gateway

import (
	"sync/atomic"
	"time"
)

// breakerWindow counts the runs of the last seconds, and those of them that
// failed. Each second of each stripe is one word, so that counting is exact
// although nothing is locked: the second that it stands for, the runs and the
// failures change together or not at all.
type breakerWindow struct {
	start time.Time
	// since is the first second that counts: what was before the breaker
	// closed says nothing about the version as it is now.
	since   atomic.Uint64
	stripes [stripeCount]windowStripe
}

// windowSlots is how many seconds a stripe keeps, at least one more than are
// looked at and a power of two.
const windowSlots = 16

type windowStripe struct {
	slots [windowSlots]atomic.Uint64
	_     [64]byte // keeps stripes on lines of their own
}

// A slot is, from the lowest bit: 20 bits of failures, 20 bits of runs, 24 bits
// of the second (a hundred and ninety days of them).
const (
	slotCountBits  = 20
	slotCountMask  = 1<<slotCountBits - 1
	slotSecondMask = 1<<24 - 1
)

// second counts the seconds since the window was made, from 1 on, so that no
// slot stands for a second before anything was counted in it.
func (w *breakerWindow) second(now time.Time) uint64 {
	return (uint64(max(0, now.Sub(w.start))/time.Second) + 1) & slotSecondMask
}

// count counts one run.
func (w *breakerWindow) count(stripe uint8, failed bool, now time.Time) {
	second := w.second(now)
	slot := &w.stripes[stripe%stripeCount].slots[second%windowSlots]
	for {
		old := slot.Load()
		runs, failures := uint64(0), uint64(0)
		if old>>(2*slotCountBits) == second {
			runs, failures = old>>slotCountBits&slotCountMask, old&slotCountMask
		}
		if runs == slotCountMask {
			return // a million in a second: the ratio is known by now
		}
		runs++
		if failed {
			failures++
		}
		if slot.CompareAndSwap(old, second<<(2*slotCountBits)|runs<<slotCountBits|failures) {
			return
		}
	}
}

// trips reports that the runs of the last seconds are enough and too many of
// them failed.
func (w *breakerWindow) trips(now time.Time) bool {
	second := w.second(now)
	runs, failures := uint64(0), uint64(0)
	for age := range uint64(breakerSeconds) {
		if age >= second || second-age < w.since.Load() {
			break
		}
		for s := range w.stripes {
			slot := w.stripes[s].slots[(second-age)%windowSlots].Load()
			if slot>>(2*slotCountBits) == second-age {
				runs += slot >> slotCountBits & slotCountMask
				failures += slot & slotCountMask
			}
		}
	}
	return runs >= breakerRequests && 2*failures >= runs
}

// forget makes all that was counted before now not count.
func (w *breakerWindow) forget(now time.Time) { w.since.Store(w.second(now)) }
