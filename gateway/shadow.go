package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
)

const (
	// maxShadows and maxShadowBytes bound the copies that wait; what comes on
	// top is dropped.
	maxShadows     = 64
	maxShadowBytes = 64 << 20
	// shadowPatience is how long a copy waits for the executor to have nothing
	// to do before it is dropped, shadowLook how often that is looked at.
	shadowPatience = time.Second
	shadowLook     = time.Millisecond
	// shadowRest is how long the shadows' worker rests after a run, in run
	// times: it takes at most a quarter of one core.
	shadowRest = 3
	// shadowTimeout bounds one run of a copy.
	shadowTimeout = 10 * time.Second
)

// shadows runs copies of requests on versions that do not answer them. It has
// one worker, which runs only while nothing waits for the executor and a place
// is free, so that those who wait for answers do not notice.
type shadows struct {
	executor *batch.Executor
	pool     *runtime.Pool
	jobs     chan *shadowCopy
	queued   atomic.Int64 // bytes
}

func newShadows(opts DataOptions) *shadows {
	return &shadows{executor: opts.Executor, pool: opts.Pool, jobs: make(chan *shadowCopy, maxShadows)}
}

// offer hands a copy over, or drops it where too many wait. Nil is none. It
// never blocks.
func (s *shadows) offer(k *shadowCopy) {
	if k == nil {
		return
	}
	select {
	case s.jobs <- k:
	default:
		s.drop(k)
	}
}

// drop counts a copy that is not run and lets go of it.
func (s *shadows) drop(k *shadowCopy) {
	k.to.metrics.shadow.count(shadowDropped)
	s.forget(k)
}

func (s *shadows) forget(k *shadowCopy) {
	s.queued.Add(-k.size)
	k.release()
}

// run works until ctx ends, and lets go of what waits then.
func (s *shadows) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			for {
				select {
				case k := <-s.jobs:
					s.drop(k)
				default:
					return
				}
			}
		case k := <-s.jobs:
			if !s.awaitRoom(ctx) || !k.to.resident.Acquire() {
				s.drop(k)
				continue
			}
			took := s.try(ctx, k)
			k.to.resident.Release()
			s.forget(k)
			rest(ctx, shadowRest*took)
		}
	}
}

// awaitRoom waits until the executor has nothing to do for others.
func (s *shadows) awaitRoom(ctx context.Context) bool {
	for waited := time.Duration(0); ; waited += shadowLook {
		if st := s.executor.Stats(); st.Queued == 0 && st.Busy < max(1, st.Permits) {
			return true
		}
		if waited >= shadowPatience || !rest(ctx, shadowLook) {
			return false
		}
	}
}

func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// try runs a copy, tells its breaker, and compares what comes out.
func (s *shadows) try(ctx context.Context, k *shadowCopy) (took time.Duration) {
	p, ok := k.to.breaker.enter()
	if !ok {
		k.to.metrics.shadow.count(shadowRefused)
		return 0
	}
	ended := outcomeModelError // what a panic counts as
	defer func() {
		k.to.metrics.tried(ended)
		k.to.breaker.leave(p, 0, ended, time.Now())
	}()
	run := batch.Call{Inputs: k.inputs, Deadline: time.Now().Add(shadowTimeout)}
	result, err := k.to.runner.Run(ctx, &run)
	if err != nil {
		ended = shadowOutcome(err)
		s.tell(k, nil, ended)
		return run.Ran
	}
	defer result.Release()
	ended = outcomeOK
	for i := range result.Tensors {
		if oip.FirstNonFinite(&result.Tensors[i]) >= 0 {
			ended = outcomeNonFinite
		}
	}
	s.tell(k, result.Tensors, ended)
	return run.Ran
}

func shadowOutcome(err error) outcome {
	switch {
	case errors.Is(err, batch.ErrQueueFull), errors.Is(err, batch.ErrDeadline):
		return outcomeShed
	case errors.Is(err, batch.ErrStopped), errors.Is(err, batch.ErrNoTime):
		return outcomeTimeout
	case errors.Is(err, context.Canceled):
		return outcomeCancelled
	case errors.Is(err, runtime.ErrInvalidArgument):
		return outcomeClientError
	}
	return outcomeModelError
}

// tell counts what came of a copy. One that failed where the answer was good is
// a disagreement; one that never ran is none.
func (s *shadows) tell(k *shadowCopy, outputs []runtime.Tensor, ended outcome) {
	counts := &k.to.metrics.shadow
	switch ended {
	case outcomeShed, outcomeCancelled:
		counts.count(shadowDropped)
		return
	case outcomeOK, outcomeNonFinite:
	default:
		counts.count(shadowFailed)
	}
	if k.route == nil {
		if outputs != nil {
			counts.count(shadowProbed)
		}
		return
	}
	agrees := false
	if outputs != nil {
		name := ""
		if at := k.to.class.output; at >= 0 {
			name = k.to.runner.Signature().Outputs[at].Name
		}
		c := compare(k.outputs, outputs, &k.to.class, name)
		agrees = c.agrees(k.route.tolerance)
		counts.compared(&c, agrees)
	}
	if k.route.recorder == nil {
		return
	}
	o := rollout.Observation{Step: k.route.step, Canary: true, Unit: k.unit, Judged: rollout.Of(rollout.Shadow)}
	if !agrees {
		o.Bad = o.Judged
	}
	k.route.recorder.Record(o)
	if !agrees {
		k.route.judge()
	}
}
