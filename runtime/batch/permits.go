package batch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// permits is a semaphore that serves in the order of arrival, takes and gives
// back with one atomic operation while nobody waits, and drops waiters whose
// time is over when their turn comes.
//
// free holds the number of free permits, or waited while somebody waits; then
// none is free. Only who holds mu sets or clears waited, and the queue is not
// empty exactly while it is set.
type permits struct {
	total int
	free  atomic.Int64
	// work is how long the runs of all waiters are expected to take, in
	// nanoseconds.
	work atomic.Int64

	mu          sync.Mutex
	first, last *waiter
	queued      int
	spare       *waiter // idle waiters, linked by next
}

const waited = -1

// line is one instance's share of the queue. Its fields but hint belong to who
// holds permits.mu.
type line struct {
	limit  int
	queued int
	// hint is how long a run takes at least, in nanoseconds, as far as is
	// known (see Instance.learn).
	hint atomic.Int64
	// usual is how long a run takes on average of late, in nanoseconds.
	usual atomic.Int64
}

// waiter is a call in the queue. verdict is sent exactly once, after the waiter
// left the queue.
type waiter struct {
	line       *line
	deadline   time.Time
	verdict    chan error
	prev, next *waiter
	queued     bool
	cost       int64 // what it adds to permits.work
}

func newPermits(n int) *permits {
	p := &permits{total: n}
	p.free.Store(int64(n))
	return p
}

// acquire takes a permit, at once or in turn, and returns how long it waited
// from now on, 0 for not at all. On success the caller gives the permit back
// with release.
func (p *permits) acquire(ctx context.Context, l *line, deadline, now time.Time) (time.Duration, error) {
	for n := p.free.Load(); n > 0; n = p.free.Load() {
		if p.free.CompareAndSwap(n, n-1) {
			return 0, nil
		}
	}
	w, err := p.enqueue(l, deadline)
	if w == nil {
		return 0, err
	}
	err = p.wait(ctx, w, now)
	if err == nil && ctx.Err() != nil {
		p.release()
		err = ended(ctx)
	}
	return time.Since(now), err
}

// enqueue returns a waiter in the queue; or nil, with an error if the queue is
// full and without one if a permit was free after all and is the caller's now.
func (p *permits) enqueue(l *line, deadline time.Time) (*waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		n := p.free.Load()
		if n > 0 && p.free.CompareAndSwap(n, n-1) {
			return nil, nil
		}
		if n > 0 {
			continue
		}
		if l.queued >= l.limit {
			return nil, ErrQueueFull
		}
		if n == waited || p.free.CompareAndSwap(0, waited) {
			break
		}
	}
	w := p.spare
	if w == nil {
		w = &waiter{verdict: make(chan error, 1)}
	} else {
		p.spare = w.next
	}
	w.line, w.deadline, w.prev, w.next, w.queued = l, deadline, p.last, nil, true
	if p.last == nil {
		p.first = w
	} else {
		p.last.next = w
	}
	p.last = w
	p.queued++
	l.queued++
	w.cost = l.usual.Load()
	p.work.Add(w.cost)
	return w, nil
}

// wait blocks until the waiter has its verdict, the context ends or the
// deadline passes.
func (p *permits) wait(ctx context.Context, w *waiter, now time.Time) error {
	var late <-chan time.Time
	if !w.deadline.IsZero() {
		timer := time.NewTimer(w.deadline.Sub(now))
		defer timer.Stop()
		late = timer.C
	}
	var err error
	select {
	case err = <-w.verdict:
		p.recycle(w)
		return err
	case <-ctx.Done():
		err = ended(ctx)
	case <-late:
		err = ErrDeadline
	}
	p.mu.Lock()
	left := p.remove(w)
	p.mu.Unlock()
	if !left && <-w.verdict == nil {
		// The permit came in the same moment, and goes on to the next.
		p.release()
	}
	p.recycle(w)
	return err
}

// remove takes a waiter out of the queue and reports whether it was in it. The
// caller holds mu.
func (p *permits) remove(w *waiter) bool {
	if !w.queued {
		return false
	}
	if w.prev == nil {
		p.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		p.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	p.queued--
	w.line.queued--
	p.work.Add(-w.cost)
	if p.first == nil {
		p.free.Store(0)
	}
	return true
}

// release gives a permit back: to the first waiter that can still meet its
// deadline, or to whoever comes next.
func (p *permits) release() {
	for {
		n := p.free.Load()
		if n >= 0 {
			if p.free.CompareAndSwap(n, n+1) {
				return
			}
			continue
		}
		if p.handOver() {
			return
		}
	}
}

// handOver reports whether a waiter took the permit.
func (p *permits) handOver() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var now time.Time
	for p.first != nil {
		w := p.first
		p.remove(w)
		if !w.deadline.IsZero() {
			if now.IsZero() {
				now = time.Now()
			}
			if hint := w.line.hint.Load(); w.deadline.Sub(now) < time.Duration(hint) {
				// A hint that is too long would drop for ever: nothing would
				// run that could correct it.
				w.line.hint.Store(hint - hint/8)
				w.verdict <- ErrDeadline
				continue
			}
		}
		w.verdict <- nil
		return true
	}
	return false
}

func (p *permits) recycle(w *waiter) {
	p.mu.Lock()
	w.line, w.next = nil, p.spare
	p.spare = w
	p.mu.Unlock()
}

// expect estimates how long a call of the line that came now would wait: for
// the runs before it, and for half of one that is under way.
func (p *permits) expect(l *line) time.Duration {
	if p.free.Load() > 0 {
		return 0
	}
	return time.Duration((p.work.Load() + l.usual.Load()/2) / int64(p.total))
}

func (p *permits) use() (busy, queued int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total - int(max(0, p.free.Load())), p.queued
}

// ended translates the end of a context: a deadline that passed is one that
// was missed in the queue.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != context.DeadlineExceeded {
		return err
	}
	return ErrDeadline
}
