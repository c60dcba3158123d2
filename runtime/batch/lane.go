package batch

import (
	"sync"
	"sync/atomic"
	"time"
)

// lane is a number of places, each for one run at a time, and the lines of
// calls that wait for one. Its callers run in their own goroutines (acquire and
// release), or hand over to the lane's workers (submit).
//
// free holds the number of free places, or waited while a line may be served
// and is not; then none is free. A place is taken and given back with one
// atomic operation while nobody waits. Only who holds mu sets or clears waited.
//
// Lines share the places by time, not by calls: the line that was served least
// is next, by a virtual clock that each call moves on by the time that its run
// is expected to take (start-time fair queueing, Goyal, Vin and Cheng 1996).
// Within a line calls are served in the order of arrival.
type lane struct {
	places int
	free   atomic.Int64
	// work is how long the runs of all waiting calls are expected to take, in
	// nanoseconds; lines how many lines have any.
	work   atomic.Int64
	active atomic.Int64
	// used says that a place was taken since somebody last looked.
	used atomic.Bool

	// beside, of a lane of long runs, is the lane of short ones on the same
	// cores; lastShort is when one was last seen, in nanoseconds from begin, 0
	// before the first. running is what work was of the runs under way.
	beside    *lane
	begin     time.Time
	lastShort atomic.Int64
	running   atomic.Int64

	mu     sync.Mutex
	lines  []*line // those that may be served
	clock  int64
	queued int
	spare  *waiter // idle waiters, linked by next
	// kept says that one place is neither free nor used; another one is then
	// used, or will be by a call that waits.
	kept bool
	// since is when the first of the lines began to wait.
	since time.Time
	// idle are the workers that have nothing to do; none without a staff.
	idle []*worker
}

const waited = -1

func newLane(places int) *lane {
	l := &lane{places: places, begin: time.Now()}
	l.free.Store(int64(places))
	return l
}

// take takes a place if one is free.
func (l *lane) take() bool {
	for n := l.free.Load(); n > 0; n = l.free.Load() {
		if l.free.CompareAndSwap(n, n-1) {
			return true
		}
	}
	return false
}

// takeIdle takes a place for a run that is expected to take so long, if all are
// free and no short runs are made on the same cores.
func (l *lane) takeIdle(now time.Time, cost int64) bool {
	if l.besideShort(now) || !l.free.CompareAndSwap(int64(l.places), int64(l.places)-1) {
		return false
	}
	l.running.Add(cost)
	return true
}

// release gives a place back: to the next call, or to whoever comes next.
func (l *lane) release() {
	for {
		n := l.free.Load()
		if n >= 0 {
			if !l.free.CompareAndSwap(n, n+1) {
				continue
			}
			if l.beside != nil && n+1 == int64(l.places)-1 {
				l.mu.Lock()
				l.unkeepLast()
				l.mu.Unlock()
			}
			return
		}
		l.mu.Lock()
		given := l.give(nil)
		l.mu.Unlock()
		if given {
			return
		}
	}
}

// done ends the run of a worker, and reports whether it holds the next one.
func (l *lane) done(by *worker) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running.Add(-by.group.cost)
	now := time.Now()
	if l.kept {
		l.keep(now)
	} else if l.free.Load() <= 0 && l.yields(now) {
		l.kept = true
		l.idle = append(l.idle, by)
		return false
	}
	given := l.free.Load() == waited && l.give(by)
	if len(by.group.waiters) > 0 {
		return true
	}
	l.idle = append(l.idle, by)
	if !given {
		l.free.Add(1)
	}
	l.unkeepLast()
	return false
}

// enqueue puts a waiter that runs by itself into its line. It reports true if a
// place was free after all, and is the caller's now.
func (l *lane) enqueue(w *waiter) (taken bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.take() {
		return true, nil
	}
	if w.line.queued >= w.line.limit {
		return false, ErrQueueFull
	}
	w.line.push(l, w)
	l.open(w.line)
	return false, nil
}

// submit puts a waiter that a worker is to run into its line.
func (l *lane) submit(w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := w.line
	if ln.queued >= ln.limit && l.kept {
		l.unkeep()
	}
	if ln.queued >= ln.limit && l.free.Load() <= 0 {
		return ErrQueueFull
	}
	ln.push(l, w)
	switch {
	case ln.delay == 0 || ln.rows >= ln.maxRows || ln.open:
		l.open(ln)
	case ln.queued == 1:
		// The first of a batch waits for more, whether a place is free or not.
		ln.timer = time.AfterFunc(ln.delay, func() { l.ripe(ln) })
	}
	return nil
}

// ripe opens a line whose first call has waited for others long enough.
func (l *lane) ripe(ln *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ln.first != nil {
		l.open(ln)
	}
}

// open lets a line be served, and serves it where places are free. The caller
// holds mu.
func (l *lane) open(ln *line) {
	now := time.Now()
	if !ln.open {
		if len(l.lines) == 0 {
			l.since = now
		}
		ln.open = true
		ln.clock = max(ln.clock, l.clock)
		l.lines = append(l.lines, ln)
		l.active.Add(1)
	}
	for len(l.lines) > 0 {
		switch {
		case l.keep(now):
		case l.take():
			if !l.give(nil) {
				l.free.Add(1)
			}
		case l.free.Load() == waited || l.free.CompareAndSwap(0, waited):
			return
		}
	}
}

// shut ends the service of an empty line. The caller holds mu.
func (l *lane) shut(ln *line) {
	if ln.timer != nil {
		ln.timer.Stop()
		ln.timer = nil
	}
	if !ln.open {
		return
	}
	ln.open = false
	l.active.Add(-1)
	for i := range l.lines {
		if l.lines[i] == ln {
			last := len(l.lines) - 1
			l.lines[i], l.lines[last] = l.lines[last], nil
			l.lines = l.lines[:last]
			break
		}
	}
	if len(l.lines) == 0 {
		l.free.CompareAndSwap(waited, 0)
	}
}

// give passes a held place on to the next call that can still meet its
// deadline, and reports whether there was one. A call that a worker is to run
// goes to by, if that is a worker, with all that may share its run; else to an
// idle one. The caller holds mu.
func (l *lane) give(by *worker) bool {
	now := time.Now()
	for len(l.lines) > 0 {
		ln := l.lines[0]
		for _, other := range l.lines[1:] {
			if other.clock < ln.clock {
				ln = other
			}
		}
		l.clock = ln.clock
		w := ln.first
		if ln.hopeless(l, w, now) {
			continue
		}
		if !w.worked {
			ln.serve(l, w)
			w.verdict <- nil
			return true
		}
		to := by
		if to == nil {
			to = l.idle[len(l.idle)-1]
			l.idle = l.idle[:len(l.idle)-1]
		}
		to.group.fill(l, ln, now)
		if by == nil {
			to.jobs <- struct{}{}
		}
		return true
	}
	return false
}

// expect estimates how long a call of the line that came now would wait for its
// turn: for its share of the places if every other line stays busy, or for all
// work that waits where that is less, and for half of a run that is under way.
// It is 0 only where a place is free, also while no run was measured yet.
func (l *lane) expect(ln *line, cost int64) time.Duration {
	if l.free.Load() > 0 {
		return 0
	}
	ahead := min(l.work.Load(), ln.work.Load()*max(1, l.active.Load()))
	return max(1, time.Duration((max(0, ahead)+cost/2)/int64(l.places)))
}

func (l *lane) use() (busy, queued int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	busy = l.places - int(max(0, l.free.Load()))
	if l.kept {
		busy--
	}
	return busy, l.queued
}
