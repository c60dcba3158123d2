package batch

import (
	"slices"
	"time"
)

// worker runs the calls of a lane one group after the other, aside: on a thread
// of the engine's, where the engine has any.
type worker struct {
	jobs  chan struct{} // a group was filled; closed at the end
	group group
}

// group is the calls that share a run, in the order of arrival.
type group struct {
	waiters []*waiter
	rows    int
	cost    int64 // how long the run is expected to take, for the lane's running
}

// fill takes the line's first waiter and those behind it that may share its
// run. The caller holds the lane's mu.
func (g *group) fill(l *lane, ln *line, now time.Time) {
	head := ln.first
	g.waiters, g.rows, g.cost = g.waiters[:0], 0, 0
	g.add(l, head)
	if !head.call.shares {
		return
	}
	for w := ln.first; w != nil && g.rows < ln.maxRows; {
		next := w.next
		switch {
		case ln.hopeless(l, w, now):
		case w.call.shares && g.rows+w.rows() <= ln.maxRows && sameRows(head.call, w.call):
			g.add(l, w)
		}
		w = next
	}
}

// add takes a waiter out of its line into the group.
func (g *group) add(l *lane, w *waiter) {
	w.line.serve(l, w)
	l.running.Add(w.cost)
	g.waiters, g.rows, g.cost = append(g.waiters, w), g.rows+w.rows(), g.cost+w.cost
}

// sameRows reports whether two calls have inputs of equal shapes but for the
// first size.
func sameRows(a, b *Call) bool {
	for i := range a.Inputs {
		if !slices.Equal(a.Inputs[i].Shape[1:], b.Inputs[i].Shape[1:]) {
			return false
		}
	}
	return true
}

// work runs groups until the jobs end.
func (e *Executor) work(l *lane, w *worker) {
	for range w.jobs {
		for more := true; more; more = l.done(w) {
			w.group.waiters[0].call.instance.runGroup(&w.group)
			clear(w.group.waiters)
			w.group.waiters = w.group.waiters[:0]
		}
	}
}

// staff gives a lane its workers, one for each place, once.
func (e *Executor) staff(l *lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.staffed[l] {
		return
	}
	e.staffed[l] = true
	crew := make([]*worker, l.places)
	for n := range crew {
		w := &worker{jobs: make(chan struct{}, 1)}
		crew[n] = w
		e.crew = append(e.crew, w)
		e.workers.Go(func() { e.work(l, w) })
	}
	if e.onWorkers != nil {
		e.onWorkers(len(e.crew))
	}
	l.mu.Lock()
	l.idle = crew
	l.mu.Unlock()
}

// Close ends the workers and waits for them. The caller makes sure that no run
// is under way and none begins. A second Close does nothing.
func (e *Executor) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.crew {
		close(w.jobs)
	}
	e.crew = nil
	e.workers.Wait()
}
