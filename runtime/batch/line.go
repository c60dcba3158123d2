package batch

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// line is the calls of one instance that wait in a lane. Its fields but the
// atomic ones belong to who holds the lane's mu.
type line struct {
	limit int
	// maxRows is how many rows may share a run; 1 where calls run alone. delay
	// is how long the first of them waits for others.
	maxRows int
	delay   time.Duration

	first, last  *waiter
	queued, rows int
	// open says that the line may be served; timer opens it.
	open  bool
	timer *time.Timer
	// clock is the line's share of the lane's time so far.
	clock int64
	// work is what the line adds to the lane's.
	work atomic.Int64

	// hint is how long a run takes at least, in nanoseconds, as far as is
	// known; usual how long a row takes on average of late (see learn).
	hint, usual atomic.Int64
	// pointed counts the calls that pointless was about.
	pointed atomic.Uint32
}

// waiter is a call in a line. verdict is sent exactly once, after the waiter
// left the line: when it was dropped; or when it holds a place or, of a call
// that is worked by a worker, when it was run.
type waiter struct {
	line       *line
	deadline   time.Time
	verdict    chan error
	timer      *time.Timer
	prev, next *waiter
	queued     bool
	cost       int64 // what it adds to work

	worked  bool
	ctx     context.Context
	call    *Call
	arrived time.Time
	result  runtime.Result
}

// waiter returns an idle waiter for a call of the line.
func (l *lane) waiter(ln *line, deadline time.Time, cost int64) *waiter {
	l.mu.Lock()
	w := l.spare
	if w == nil {
		w = &waiter{verdict: make(chan error, 1)}
	} else {
		l.spare = w.next
	}
	l.mu.Unlock()
	w.line, w.deadline, w.cost, w.next = ln, deadline, cost, nil
	return w
}

// recycle keeps a waiter for later. Nobody else may hold it.
func (l *lane) recycle(w *waiter) {
	w.line, w.ctx, w.call, w.result, w.worked = nil, nil, nil, runtime.Result{}, false
	l.mu.Lock()
	w.next = l.spare
	l.spare = w
	l.mu.Unlock()
}

// push adds a waiter at the end.
func (ln *line) push(l *lane, w *waiter) {
	w.prev, w.queued = ln.last, true
	if ln.last == nil {
		ln.first = w
	} else {
		ln.last.next = w
	}
	ln.last = w
	ln.queued++
	ln.rows += w.rows()
	ln.work.Add(w.cost)
	l.queued++
	l.work.Add(w.cost)
}

// remove takes a waiter out of its line and reports whether it was in it.
func (ln *line) remove(l *lane, w *waiter) bool {
	if !w.queued {
		return false
	}
	if w.prev == nil {
		ln.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		ln.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	ln.queued--
	ln.rows -= w.rows()
	ln.work.Add(-w.cost)
	l.queued--
	l.work.Add(-w.cost)
	if ln.first == nil {
		l.shut(ln)
	}
	return true
}

// serve takes a waiter out because its turn has come, on the line's account.
func (ln *line) serve(l *lane, w *waiter) {
	ln.remove(l, w)
	ln.clock += max(w.cost, 1)
}

// hopeless drops a waiter whose deadline cannot be met any more, and reports
// whether it did.
func (ln *line) hopeless(l *lane, w *waiter, now time.Time) bool {
	hint := ln.hint.Load()
	if w.deadline.IsZero() || w.deadline.Sub(now) >= time.Duration(hint) {
		return false
	}
	// A hint that is too long would drop for ever: nothing would run that could
	// correct it.
	ln.hint.Store(hint - hint/8)
	ln.remove(l, w)
	w.verdict <- ErrDeadline
	return true
}

// tried is the share of the calls with too little time that are run: one of so
// many.
const tried = 16

// pointless reports whether a run that could begin now is not to be made,
// because too little is left of its time. It is half of what a call that waits
// has to have: here nobody else has a use for the place. The hint is left as it
// is, since many calls without time would otherwise wear it down; a few are run,
// so that one that is too long is noticed.
func (ln *line) pointless(left time.Duration) bool {
	return left < time.Duration(ln.hint.Load()/2) && ln.pointed.Add(1)%tried != 0
}

// rows is how many rows the waiter's call has, at least 1.
func (w *waiter) rows() int {
	if w.call == nil {
		return 1
	}
	return max(1, w.call.rows)
}

// wait blocks until the waiter has its verdict or, while it is in its line, the
// context ends or the deadline passes. left says that it had to leave the line.
func (l *lane) wait(ctx context.Context, w *waiter, now time.Time) (left bool, err error) {
	var late <-chan time.Time
	if !w.deadline.IsZero() {
		if w.timer == nil {
			w.timer = time.NewTimer(w.deadline.Sub(now))
		} else {
			w.timer.Reset(w.deadline.Sub(now))
		}
		defer w.timer.Stop()
		late = w.timer.C
	}
	select {
	case err = <-w.verdict:
		return false, err
	case <-ctx.Done():
		err = ended(ctx)
	case <-late:
		err = ErrDeadline
	}
	l.mu.Lock()
	left = w.line.remove(l, w)
	l.mu.Unlock()
	if !left {
		return false, <-w.verdict
	}
	return true, err
}

// acquire takes a place for a run in the caller's goroutine, at once or in
// turn, and returns how long it waited from now on, 0 for not at all. On
// success the caller gives the place back with release.
func (l *lane) acquire(ctx context.Context, ln *line, deadline, now time.Time, cost int64) (time.Duration, error) {
	l.note()
	if l.take() {
		return 0, nil
	}
	w := l.waiter(ln, deadline, cost)
	taken, err := l.enqueue(w)
	if taken || err != nil {
		l.recycle(w)
		return 0, err
	}
	_, err = l.wait(ctx, w, now)
	l.recycle(w)
	waited := time.Since(now)
	if err == nil && ctx.Err() != nil {
		l.release()
		err = ended(ctx)
	} else if err == nil && !deadline.IsZero() && waited >= deadline.Sub(now) {
		l.release()
		err = ErrDeadline
	}
	return waited, err
}

// learn follows what runs cost. usual is the average of a row, whatever else
// shared the run. hint is the lower edge of the run times: down at once, up
// slowly, since runs of many rows must not make one of a single row look
// hopeless; a call is dropped only when even a fast run would be too late.
// Small changes are not worth the write to memory that all share.
func (ln *line) learn(ran time.Duration, rows int) {
	now := int64(ran)
	row := now / int64(max(1, rows))
	if usual := ln.usual.Load(); usual == 0 {
		ln.usual.Store(row)
	} else if change := row - usual; change > usual/16 || change < -usual/16 {
		ln.usual.Store(usual + change/8)
	}
	hint := ln.hint.Load()
	switch {
	case hint == 0 || now < hint:
		ln.hint.Store(now)
	case now-hint > hint/8:
		ln.hint.Store(hint + (now-hint)/128)
	}
}

// ended translates the end of a context: a deadline that passed is one that
// was missed in the queue.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != context.DeadlineExceeded {
		return err
	}
	return ErrDeadline
}
