package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-serving/segue/runtime"
)

const (
	// How often the processor time of a run is looked at.
	runLimitLook = 50 * time.Millisecond
	// How long a run may go on after it was told to stop.
	runLimitGrace = time.Second
)

// errRunLimit is why a run's context ends at its limit.
var errRunLimit = errors.New("it may never end (a longer limits.timeout allows more)")

// watch gives a run of some rows a context that ends with its limit. Stop says
// whether it did. Processor time is counted, and not the time of day, so that
// a busy machine is no fault of the model.
func (t *trial) watch(ctx context.Context, rows int64) (limited context.Context, stop func() error) {
	if t.runLimit <= 0 {
		return ctx, func() error { return nil }
	}
	limit := t.runLimit * time.Duration(max(1, rows))
	limited, cancel := context.WithCancelCause(ctx)
	over := fmt.Errorf("a run was not done after %s of processor time: %w", limit, errRunLimit)
	began := processorTime()
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(runLimitLook)
		defer ticker.Stop()
		for processorTime()-began < limit {
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
		}
		cancel(over)
		select {
		case <-ended:
		case <-time.After(runLimitGrace):
			t.abandon(over.Error())
		}
	}()
	return limited, func() error {
		close(ended)
		<-done
		defer cancel(nil)
		if errors.Is(context.Cause(limited), errRunLimit) {
			return over
		}
		return nil
	}
}

// processorTime is what all threads of this process have used.
func processorTime() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// rowsOf is the number of rows of a run, 1 where the model has no batches.
func rowsOf(s *runtime.Signature, inputs []runtime.Tensor) int64 {
	if !s.Batches() || len(inputs) == 0 || len(inputs[0].Shape) == 0 {
		return 1
	}
	return inputs[0].Shape[0]
}
