package loader

import "time"

// How long a version that is gone is remembered.
const keepGone = 15 * time.Minute

// view is one try of a version, as the policy sees it.
type view struct {
	wanted    Wanted
	state     State
	cancelled bool      // it was told to stop, and did not yet
	permanent bool      // a Failed one is not to be tried again
	retryAt   time.Time // when a Failed one is
	since     time.Time // when the state was entered
	evict     bool      // a Ready one is to be unloaded, though it is wanted
	evicting  bool      // a Draining one is, and will be Evicted
	asked     bool      // an Evicted one is to come back
}

// live reports whether a try stands for its version: a cancelled, draining or
// gone one does not, so that a version wanted again starts anew. One that drains
// because nobody uses it does, until somebody asks for it.
func (v *view) live() bool {
	return v.state.loading() && !v.cancelled || v.state == StateReady || v.state == StateFailed ||
		v.state == StateDraining && v.evicting || v.state == StateEvicted
}

type actionKind uint8

const (
	actionStart  actionKind = iota // begin a first try of wanted
	actionRetry                    // begin another in place of a Failed one
	actionCancel                   // stop a try that is loading
	actionDrain                    // let a Ready one go
	actionEvict                    // let a Ready one go that is to come back
	actionRevive                   // begin a first try in place of an Evicted one
	actionBury                     // a Failed or Evicted one is wanted no more
	actionForget                   // a Gone one needs not be remembered
)

// action is one thing to do, to the try at a position of the views or, for a
// start, to a wanted version.
type action struct {
	kind   actionKind
	at     int
	wanted Wanted
}

// plan computes what to do next from the tries there are and the versions
// wanted, and when to look again if nothing happens before (zero for never).
// It is a pure function: the same facts give the same actions in the same
// order, first what frees memory, then what takes it, in the order wanted.
//
// A version wanted again while it drains gets a new resident. Reviving the old
// one would save a load, but it would make a state go backwards, and a
// Resident whose Acquire was false once would have to be true again.
func plan(now time.Time, wanted []Wanted, tries []view) (actions []action, wake time.Time) {
	isWanted := make(map[Wanted]bool, len(wanted))
	for _, w := range wanted {
		isWanted[w] = true
	}
	wakeBy := func(at time.Time) {
		if wake.IsZero() || at.Before(wake) {
			wake = at
		}
	}
	// Of one version that comes and goes only the last try is remembered.
	last := make(map[Wanted]int, len(tries))
	for i := range tries {
		last[tries[i].wanted] = i
	}
	var later []action
	alive := make(map[Wanted]bool, len(tries))
	for i := range tries {
		v := &tries[i]
		wanted := isWanted[v.wanted]
		if v.live() {
			alive[v.wanted] = true
		}
		switch {
		case v.state.loading() && !wanted && !v.cancelled:
			actions = append(actions, action{kind: actionCancel, at: i})
		case v.state == StateReady && !wanted:
			actions = append(actions, action{kind: actionDrain, at: i})
		case v.state == StateReady && v.evict:
			actions = append(actions, action{kind: actionEvict, at: i})
		case v.state == StateEvicted && wanted && v.asked:
			later = append(later, action{kind: actionRevive, at: i, wanted: v.wanted})
		case (v.state == StateFailed || v.state == StateEvicted) && !wanted:
			actions = append(actions, action{kind: actionBury, at: i})
		case v.state == StateFailed && !v.permanent && !v.retryAt.After(now):
			later = append(later, action{kind: actionRetry, at: i, wanted: v.wanted})
		case v.state == StateFailed && !v.permanent:
			wakeBy(v.retryAt)
		case v.state == StateGone && (last[v.wanted] != i || !v.since.Add(keepGone).After(now)):
			actions = append(actions, action{kind: actionForget, at: i})
		case v.state == StateGone:
			wakeBy(v.since.Add(keepGone))
		}
	}
	actions = append(actions, later...)
	for _, w := range wanted {
		if !alive[w] {
			alive[w] = true
			actions = append(actions, action{kind: actionStart, wanted: w})
		}
	}
	return actions, wake
}

const (
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	// maxWait bounds how long a store may ask to be left alone for.
	maxWait = 10 * time.Minute
)

// backoff returns how long to wait after the nth failed try, counted from 1:
// full jitter, so that versions that failed together are not tried together.
// Fraction is uniform in [0,1).
func backoff(n int, fraction float64) time.Duration {
	longest := maxBackoff
	if n < 6 { // 1 s doubled five times is over the longest
		longest = min(longest, firstBackoff<<(n-1))
	}
	return time.Duration((1 - fraction) * float64(longest))
}
