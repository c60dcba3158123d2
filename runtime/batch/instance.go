package batch

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// Instance is one loaded model under an Executor. Run may be called by many
// goroutines at once; Close may not overlap a Run.
type Instance struct {
	permits       *permits
	memory        *runtime.Pool
	session       runtime.Session
	name, version string
	maxBatch      int
	line          line
}

// Call is one request, and how it went.
type Call struct {
	// Inputs and Outputs are what runtime.Session.Run takes. Inputs are read
	// until Run returned.
	Inputs  []runtime.Tensor
	Outputs []int
	// Deadline is when the answer has to be there; zero is none. A call that
	// waits is dropped once it cannot be met. A run that has begun is not cut.
	Deadline time.Time
	// Queued is how long the call waited for its turn, 0 when a permit was
	// free. Set by Run.
	Queued time.Duration
	// Ran is how long the session took, 0 when it was not run. Set by Run.
	Ran time.Duration
}

// Run runs the call in this goroutine once a permit is free. Errors that the
// session was never reached with are ErrQueueFull, ErrDeadline and
// context.Canceled; every other one is the session's, or wraps ErrPanic. The
// result is the caller's to release.
func (i *Instance) Run(ctx context.Context, call *Call) (runtime.Result, error) {
	call.Queued, call.Ran = 0, 0
	if ctx.Err() != nil {
		return runtime.Result{}, ended(ctx)
	}
	now := time.Now()
	if !call.Deadline.IsZero() && !now.Before(call.Deadline) {
		return runtime.Result{}, ErrDeadline
	}
	queued, err := i.permits.acquire(ctx, &i.line, call.Deadline, now)
	call.Queued = queued
	if err != nil {
		return runtime.Result{}, err
	}
	return i.run(ctx, call, now.Add(queued))
}

// run holds a permit, and gives it back even when the session panics.
func (i *Instance) run(ctx context.Context, call *Call, start time.Time) (res runtime.Result, err error) {
	defer func() {
		call.Ran = time.Since(start)
		i.permits.release()
		if r := recover(); r != nil {
			res, err = runtime.Result{}, fmt.Errorf("model %s version %s: %w: %v", i.name, i.version, ErrPanic, r)
			return
		}
		if err == nil {
			i.learn(call.Ran)
		}
	}()
	return i.session.Run(ctx, call.Inputs, call.Outputs)
}

// learn follows the average of the run times, for Wait. It also follows the lower edge of the run times: down at once, up slowly, since
// runs of many rows must not make one of a single row look hopeless. A call is
// dropped only when even a fast run would be too late for it.
func (i *Instance) learn(ran time.Duration) {
	if usual, change := i.line.usual.Load(), int64(ran); usual == 0 {
		i.line.usual.Store(change)
	} else if change -= usual; change > usual/16 || change < -usual/16 {
		i.line.usual.Store(usual + change/8)
	}
	hint, now := i.line.hint.Load(), int64(ran)
	switch {
	case hint == 0 || now < hint:
		i.line.hint.Store(now)
	case now-hint > hint/8: // else not worth the write to memory that all share
		i.line.hint.Store(hint + (now-hint)/128)
	}
}

// Wait estimates how long a call that came now would wait for its turn: the
// work that waits, as it was measured, over all permits; 0 while one is free.
// It costs a few loads, so that a request can be refused before it is read.
func (i *Instance) Wait() time.Duration { return i.permits.expect(&i.line) }

// Signature is what the model takes and gives.
func (i *Instance) Signature() *runtime.Signature { return i.session.Signature() }

// MaxBatch is the largest number of rows that a run is meant for.
func (i *Instance) MaxBatch() int { return i.maxBatch }

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
	i.permits.mu.Lock()
	defer i.permits.mu.Unlock()
	return InstanceStats{
		Queued: i.line.queued, QueueLimit: i.line.limit,
		FastestRun: time.Duration(i.line.hint.Load()),
	}
}

// Close closes the session. The caller makes sure that no Run is under way.
func (i *Instance) Close() error {
	if err := i.session.Close(); err != nil {
		return fmt.Errorf("model %s version %s: %w", i.name, i.version, err)
	}
	return nil
}
