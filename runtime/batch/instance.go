package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// Instance is one loaded model under an Executor. Run may be called by many
// goroutines at once; Close may not overlap a Run.
type Instance struct {
	executor *Executor
	sessions []runtime.Session
	next     atomic.Uint32 // whose turn among the sessions it is
	options  InstanceOptions
	// way is how calls are run. Warm chooses it.
	way     atomic.Pointer[way]
	batches sync.Pool // idle *shared
}

// way is how the calls of an instance are run.
type way struct {
	lane *lane
	line *line
	// worked says that workers make the runs, not the callers.
	worked bool
	// padded says that a batch is filled up to a power of two.
	padded bool
	// slots is memory made ready for runs, nil where that cannot be done.
	slots *slots
	plan  Plan
}

// Call is one request, and how it went. It may be used again after Reset, and
// then costs no allocation.
type Call struct {
	// Inputs and Outputs are what runtime.Session.Run takes. Inputs are read
	// until Run returned.
	Inputs  []runtime.Tensor
	Outputs []int
	// Deadline is when the answer has to be there; zero is none. A call that
	// waits is dropped once it cannot be met, and one that need not wait where
	// not half of the time of the fastest run is left; of those a few are run
	// nevertheless. A run that has begun is ended at the deadline only where it was expected to take long (see stoppable).
	Deadline time.Time
	// Asked is when Run is called, for callers that have just looked at the
	// clock; zero has Run look.
	Asked time.Time
	// Watch, if set, is called when a run begins that can be ended, for callers
	// who would not learn by a context that nobody waits for the answer any
	// more: they call end then. Once stop has returned end must not be called.
	Watch func(end func()) (stop func())
	// Queued is how long the call waited for its turn, 0 when there was no
	// wait. Set by Run.
	Queued time.Duration
	// Ran is how long the session took for the run that the call shared, 0 when
	// it was not run. Set by Run.
	Ran time.Duration
	// BatchRows is how many rows the run had in all, for one of the calls that
	// shared it; 0 for the others, so that the sum over calls is rows and the
	// count of those above 0 is runs. Set by Run.
	BatchRows int

	instance *Instance
	rows     int
	shares   bool // its rows may share a run with other calls'
	slot     *slot
	endless  endless
	// tensors and shapes are the call's view of outputs that it shares.
	tensors []runtime.Tensor
	shapes  []int64
}

// Reset makes the call ready for another request. What Slot gave belongs to the
// call until then, and a result that Run gave must be released before.
func (c *Call) Reset() {
	if c.slot != nil {
		c.slot.drop()
	}
	clear(c.tensors)
	*c = Call{tensors: c.tensors[:0], shapes: c.shapes[:0]}
}

// Run runs the call: a short one in this goroutine once a permit is free, a
// long one on a worker, with others that wait where that pays. Errors that the
// session was never reached with are ErrQueueFull, ErrDeadline, ErrNoTime and
// context.Canceled; every other one is the session's, or wraps ErrStopped or
// ErrPanic. The result is the caller's to release.
func (i *Instance) Run(ctx context.Context, call *Call) (runtime.Result, error) {
	call.Queued, call.Ran, call.BatchRows = 0, 0, 0
	if ctx.Err() != nil {
		return runtime.Result{}, ended(ctx)
	}
	now := call.Asked
	if now.IsZero() {
		now = time.Now()
	}
	if !call.Deadline.IsZero() && !now.Before(call.Deadline) {
		return runtime.Result{}, ErrDeadline
	}
	for _, o := range call.Outputs {
		if n := len(i.Signature().Outputs); o < 0 || o >= n {
			return runtime.Result{}, fmt.Errorf("output %d asked of a model that has %d", o, n)
		}
	}
	w := i.way.Load()
	agree := call.count(i.Signature())
	cost := w.line.usual.Load() * int64(max(1, call.rows))
	if w.worked && (w.line.delay > 0 || !w.lane.takeIdle(now, cost)) {
		call.shares = agree && call.rows > 0 && w.line.maxRows > 1
		return i.handOver(ctx, w, call, now, cost)
	}
	if !w.worked {
		var err error
		if call.Queued, err = w.lane.acquire(ctx, w.line, call.Deadline, now, cost); err != nil {
			return runtime.Result{}, err
		}
	}
	// A long run comes here where nothing else is under way: a hand-over would
	// only cost time, a twentieth of a run of 1.6 ms.
	return i.runHere(ctx, w, call, now.Add(call.Queued), cost)
}

// runHere makes the run of a place that the caller holds, in this goroutine.
func (i *Instance) runHere(ctx context.Context, w *way, call *Call, start time.Time, cost int64) (runtime.Result, error) {
	defer w.lane.release()
	if w.worked {
		defer w.lane.running.Add(-cost)
	}
	if !call.Deadline.IsZero() && w.line.pointless(call.Deadline.Sub(start)) {
		return runtime.Result{}, ErrNoTime
	}
	return i.runAlone(ctx, w, call, start, false)
}

// handOver has a worker make the run.
func (i *Instance) handOver(ctx context.Context, w *way, call *Call, now time.Time, cost int64) (runtime.Result, error) {
	call.instance = i
	wt := w.lane.waiter(w.line, call.Deadline, cost)
	wt.worked, wt.ctx, wt.call, wt.arrived = true, ctx, call, now
	if err := w.lane.submit(wt); err != nil {
		w.lane.recycle(wt)
		return runtime.Result{}, err
	}
	left, err := w.lane.wait(ctx, wt, now)
	result := wt.result
	w.lane.recycle(wt)
	if left || call.Ran == 0 {
		call.Queued = time.Since(now)
	}
	return result, err
}

// count notes how many rows the call has, and reports whether all inputs of a
// model that takes rows have as many.
func (c *Call) count(signature *runtime.Signature) (agree bool) {
	c.rows = 1
	if !signature.Batches() || len(c.Inputs) == 0 || len(c.Inputs[0].Shape) == 0 {
		return true
	}
	first := c.Inputs[0].Shape[0]
	c.rows = int(first)
	for k := range c.Inputs {
		if shape := c.Inputs[k].Shape; len(shape) == 0 || shape[0] != first {
			return false
		}
	}
	return true
}

// Wait estimates how long a call that came now would wait for its turn: the
// work that waits, as it was measured, over all places. It is 0 only while
// there is a free place, also where no run was measured yet. It costs a few loads, so that a request can be refused before it is
// read.
func (i *Instance) Wait() time.Duration {
	w := i.way.Load()
	return w.lane.expect(w.line, w.line.usual.Load())
}

// Signature is what the model takes and gives.
func (i *Instance) Signature() *runtime.Signature { return i.sessions[0].Signature() }

// MaxBatch is the largest number of rows that a run is meant for.
func (i *Instance) MaxBatch() int { return i.options.MaxBatch }

// InstanceStats is what an Instance is at, for metrics.
type InstanceStats struct {
	// Queued is how many calls wait, at most QueueLimit.
	Queued, QueueLimit int
	// FastestRun follows the lower edge of the recent run times; 0 before the
	// first run.
	FastestRun time.Duration
}

// Stats returns the present numbers.
func (i *Instance) Stats() InstanceStats {
	w := i.way.Load()
	w.lane.mu.Lock()
	defer w.lane.mu.Unlock()
	return InstanceStats{
		Queued: w.line.queued, QueueLimit: w.line.limit,
		FastestRun: time.Duration(w.line.hint.Load()),
	}
}

// Close closes the sessions. The caller makes sure that no Run is under way,
// and that no call holds what Slot gave.
func (i *Instance) Close() error {
	var all []error
	if s := i.way.Load().slots; s != nil {
		all = append(all, s.close())
	}
	for _, s := range i.sessions {
		all = append(all, s.Close())
	}
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("model %s version %s: %w", i.options.Name, i.options.Version, err)
	}
	return nil
}
