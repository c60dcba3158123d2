package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// runAlone makes a run of one call, in this thread or aside.
func (i *Instance) runAlone(ctx context.Context, w *way, call *Call, start time.Time, aside bool) (runtime.Result, error) {
	call.BatchRows = max(1, call.rows)
	var result runtime.Result
	var err error
	if i.stoppable(w, call.rows, call.Deadline, start) {
		result, err = i.runStoppable(ctx, call, aside)
	} else {
		call.endless.Context = ctx
		result, err = i.compute(&call.endless, call, aside)
	}
	call.Ran = max(1, time.Since(start))
	if err == nil {
		w.line.learn(call.Ran, call.rows)
	}
	return result, err
}

// stoppable says whether a run has to be one that can be ended: it is expected
// to take more than a quarter of the time that is left. Any other is made
// without what stopping it would cost.
func (i *Instance) stoppable(w *way, rows int, deadline, now time.Time) bool {
	if deadline.IsZero() {
		return false
	}
	return 4*w.line.usual.Load()*int64(max(1, rows)) > int64(deadline.Sub(now))
}

// endless is a context without its end, so that a session does not prepare for
// one.
type endless struct{ context.Context }

// Deadline returns none.
func (*endless) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done returns nil.
func (*endless) Done() <-chan struct{} { return nil }

// Err returns nil.
func (*endless) Err() error { return nil }

// runStoppable ends the run when its deadline passes or its caller is gone, which
// a context or the caller says.
func (i *Instance) runStoppable(ctx context.Context, call *Call, aside bool) (runtime.Result, error) {
	ctx, cancel := context.WithDeadline(ctx, call.Deadline)
	defer cancel()
	if call.Watch != nil {
		defer call.Watch(cancel)()
	}
	result, err := i.compute(ctx, call, aside)
	return result, stopped(err)
}

// stopped translates the end of a run's context.
func stopped(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return err
}

// compute runs a session on the call's inputs, whose panic is an error. A
// context that cannot end costs nothing.
func (i *Instance) compute(ctx context.Context, call *Call, aside bool) (result runtime.Result, err error) {
	defer i.recovered(&result, &err)
	s := call.slot
	if s == nil || !s.holds(call.Inputs) {
		return i.runSession(ctx, call.Inputs, call.Outputs, aside)
	}
	result, err = s.run(ctx, call, aside)
	if err == nil || ctx.Err() != nil {
		return result, err
	}
	// The model refuses the values, fails, or gives outputs of other shapes than
	// were bound, as one does whose sizes the values decide. ONNX Runtime calls
	// the last an invalid argument too, which no caller gave.
	result, again := i.runSession(ctx, call.Inputs, call.Outputs, aside)
	if again == nil {
		s.slots.give(nil)
	}
	return result, again
}

// recovered makes a panic an error of the model. It is deferred.
func (i *Instance) recovered(result *runtime.Result, err *error) {
	if r := recover(); r != nil {
		*result, *err = runtime.Result{}, fmt.Errorf("model %s version %s: %w: %v", i.options.Name, i.options.Version, ErrPanic, r)
	}
}

// runSession runs the session whose turn it is; aside where that is asked for
// and the engine can.
func (i *Instance) runSession(ctx context.Context, inputs []runtime.Tensor, outputs []int, aside bool) (runtime.Result, error) {
	session := i.session()
	if a, ok := session.(runtime.AsideRunner); ok && aside {
		return a.RunAside(ctx, inputs, outputs)
	}
	return session.Run(ctx, inputs, outputs)
}

// session is the one whose turn it is.
func (i *Instance) session() runtime.Session {
	if len(i.sessions) == 1 {
		return i.sessions[0]
	}
	return i.sessions[int(i.next.Add(1))%len(i.sessions)]
}

// runGroup makes the run of calls that share one, on a worker, and tells each
// of them. If it fails each is run again by itself, once, so that what one
// caller sent cannot fail another's.
func (i *Instance) runGroup(g *group) {
	w := i.way.Load()
	start := time.Now()
	if len(g.waiters) > 1 && i.runTogether(w, g, start) {
		return
	}
	for _, wt := range g.waiters {
		begin, call := start, wt.call
		if len(g.waiters) > 1 {
			begin = time.Now()
		}
		call.Queued = begin.Sub(wt.arrived)
		var err error
		switch {
		case wt.ctx.Err() != nil:
			err = ended(wt.ctx)
		case len(g.waiters) > 1 && !call.Deadline.IsZero() && !begin.Before(call.Deadline):
			err = ErrDeadline
		default:
			wt.result, err = i.runAlone(wt.ctx, w, call, begin, true)
		}
		wt.verdict <- err
	}
}

// runTogether reports whether the calls were run as one batch and told; if not,
// nobody was told.
func (i *Instance) runTogether(w *way, g *group, start time.Time) bool {
	ctx := context.Background()
	var latest time.Time
	for _, wt := range g.waiters {
		if wt.call.Deadline.IsZero() {
			latest = time.Time{}
			break
		}
		if wt.call.Deadline.After(latest) {
			latest = wt.call.Deadline
		}
	}
	if i.stoppable(w, g.rows, latest, start) {
		limited, cancel := context.WithDeadline(ctx, latest)
		defer cancel()
		ctx = limited
	}
	b, err := i.gather(w, g)
	if err != nil {
		return false
	}
	err = b.compute(ctx)
	ran := max(1, time.Since(start))
	if err != nil {
		b.drop()
		if errors.Is(err, context.DeadlineExceeded) {
			// Nobody has time left for another run.
			for _, wt := range g.waiters {
				wt.call.Queued, wt.call.Ran = start.Sub(wt.arrived), ran
				wt.verdict <- stopped(err)
			}
			return true
		}
		return false
	}
	w.line.learn(ran, g.rows)
	b.uses.Store(int32(len(g.waiters)))
	at := 0
	for n, wt := range g.waiters {
		call := wt.call
		call.Queued, call.Ran = start.Sub(wt.arrived), ran
		if n == 0 {
			call.BatchRows = g.rows
		}
		wt.result = b.part(call, at)
		at += call.rows
		wt.verdict <- nil
	}
	return true
}
