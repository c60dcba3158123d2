package gateway

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// A breaker keeps requests away from a version that is broken now. It looks at
// the last ten seconds and opens when at least twenty runs ended in them and
// half or more of those failed; then it lets nobody through for a while, and
// after that a few runs whose success closes it.
//
// gobreaker decides about its state. It takes a lock and allocates for every
// run that it counts, which a prediction in steady state must not, so that
// while the breaker is closed it hears only of failures: what it would count is
// counted in breakerWindow, without a lock, and looked at when a failure asks
// whether it is enough. Measured on two cores (BenchmarkBreaker): 8 ns a run
// against 230 ns and an allocation, with two goroutines at once 7 ns against
// 185 ns.
type breaker struct {
	// word holds the state and how often it has changed: a run that began
	// under another word than the one it ends under is not counted.
	word    atomic.Uint64
	window  breakerWindow
	machine *gobreaker.TwoStepCircuitBreaker[struct{}]
	// changed is told of each change of state. It is called with the
	// machine's lock held: it must not block and not ask the breaker anything.
	changed func()
}

const (
	breakerSeconds  = 10
	breakerRequests = 20
	// breakerOpenFor is how long nobody is let through.
	breakerOpenFor = 5 * time.Second
	// breakerProbes is how many runs in a row must succeed before the breaker
	// closes, and how many of them may be under way at once.
	breakerProbes = 5
)

// breakerState is where a breaker stands.
type breakerState uint8

const (
	breakerClosed breakerState = iota
	breakerHalfOpen
	breakerOpen
	breakerStateCount
)

var breakerStateNames = [breakerStateCount]string{"closed", "half_open", "open"}

// Two bits of a word are the state, the others count changes.
const breakerStateBits = 2

func stateOfWord(word uint64) breakerState { return breakerState(word & (1<<breakerStateBits - 1)) }

// Errors that stand for outcomes where the machine is told of them.
var (
	errBreakerFailure  = errors.New("the run failed")
	errBreakerExcluded = errors.New("the run says nothing about the version")
)

// newBreaker returns a closed breaker. changed may be nil.
func newBreaker(changed func()) *breaker {
	b := &breaker{changed: changed}
	b.window.start = time.Now()
	b.machine = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: breakerProbes, Timeout: breakerOpenFor,
		// Called with the machine's lock held, and only while it is closed.
		ReadyToTrip:   func(gobreaker.Counts) bool { return b.window.trips(time.Now()) },
		OnStateChange: b.stateChanged,
		IsSuccessful:  func(err error) bool { return err == nil },
		IsExcluded:    func(err error) bool { return err == errBreakerExcluded },
	})
	return b
}

// stateChanged notes a change. The machine's lock orders the changes.
func (b *breaker) stateChanged(_ string, _, to gobreaker.State) {
	state := breakerClosed
	switch to {
	case gobreaker.StateClosed:
		b.window.forget(time.Now())
	case gobreaker.StateHalfOpen:
		state = breakerHalfOpen
	case gobreaker.StateOpen:
		state = breakerOpen
	}
	changes := b.word.Load()>>breakerStateBits + 1
	b.word.Store(changes<<breakerStateBits | uint64(state))
	if b.changed != nil {
		b.changed()
	}
}

// closed reports that runs are let through. It is the whole cost of a breaker
// before a run. A version without a breaker is never refused.
func (b *breaker) closed() bool { return b == nil || stateOfWord(b.word.Load()) == breakerClosed }

// state is where the breaker stands now; asking is what ends the time for which
// it lets nobody through.
func (b *breaker) state() breakerState {
	if b.closed() {
		return breakerClosed
	}
	b.machine.State()
	return stateOfWord(b.word.Load())
}

// pass is what a run carries from enter to leave.
type pass struct {
	word uint64
	done func(error) // nil where the breaker was closed
}

// enter asks for one run. Where ok is true, leave must be called with the pass
// when the run has ended, however it ended.
func (b *breaker) enter() (p pass, ok bool) {
	if b == nil {
		return pass{}, true
	}
	if word := b.word.Load(); stateOfWord(word) == breakerClosed {
		return pass{word: word}, true
	}
	done, err := b.machine.Allow()
	return pass{word: b.word.Load(), done: done}, err == nil
}

// leave says how a run ended. What says nothing about the version does not
// count: client errors, sheds and deadlines missed in the queue or too short for
// a run (which callers make sheds), callers that went away, and values that are
// not finite, which are a matter of policy.
func (b *breaker) leave(p pass, stripe uint8, ended outcome, now time.Time) {
	if b == nil {
		return
	}
	err := errBreakerExcluded
	switch ended {
	case outcomeOK:
		err = nil
	case outcomeModelError, outcomeTimeout:
		err = errBreakerFailure
	}
	switch {
	case p.done != nil:
		p.done(err)
	case err == errBreakerExcluded || b.word.Load() != p.word:
	case err == nil:
		b.window.count(stripe, false, now)
	default:
		b.window.count(stripe, true, now)
		// The machine must have a run of its own to be told of a failure.
		if done, refused := b.machine.Allow(); refused == nil {
			done(err)
		}
	}
}
