package load

import (
	"context"
	goruntime "runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// closedCalls is Closed over gRPC.
func closedCalls(ctx context.Context, t *Target, o ClosedOptions) (*Outcome, error) {
	return Loop(ctx, o, func(w int) (step func(i int) error, closing func(), err error) {
		c, err := dialGRPC(t)
		if err != nil {
			return nil, nil, err
		}
		return func(i int) error {
			_, err := c.do((i + w) % len(t.Requests))
			return err
		}, c.close, nil
	})
}

// callOnce is Once over gRPC.
func callOnce(t *Target, i int) error {
	c, err := dialGRPC(t)
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.do(i)
	return err
}

// startCalls sends the schedule of an open loop over gRPC.
func startCalls(ctx context.Context, t *Target, o OpenOptions, start time.Time, schedule []time.Duration, tallies []tally, lateness *Histogram) (wait func()) {
	// As long as the schedule, so that the clock never waits for a connection.
	due := make(chan int, len(schedule))
	var wg sync.WaitGroup
	wg.Go(func() { pace(ctx, start, schedule, due, lateness) })
	for w := range tallies {
		wg.Go(func() {
			c, err := dialGRPC(t)
			if err != nil {
				tallies[w].fail(err)
				return
			}
			defer c.close()
			for i := range due {
				if ctx.Err() != nil {
					return
				}
				at, err := c.do(i % len(t.Requests))
				s := Sample{Due: schedule[i] - o.Warmup, Latency: at.Sub(start.Add(schedule[i])), Kind: kindOf(err)}
				tallies[w].sample(s, err)
				if o.Keep && s.Due >= 0 {
					tallies[w].samples = append(tallies[w].samples, s)
				}
			}
		})
	}
	return wg.Wait
}

// pace hands out each request at its time and closes due after the last.
//
// It sleeps in the kernel on a thread of its own: Go's timers wake up to a
// millisecond late on a process that is otherwise idle, which is as long as a
// small model takes.
func pace(ctx context.Context, start time.Time, schedule []time.Duration, due chan<- int, lateness *Histogram) {
	defer close(due)
	goruntime.LockOSThread() // never unlocked: the thread ends with the goroutine, and its timer slack with it
	// Without it the kernel may wake the thread 50 µs late. Refused, the
	// lateness shows it.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for i, at := range schedule {
		for left := at - time.Since(start); left > 0; left = at - time.Since(start) {
			nap := unix.NsecToTimespec(int64(min(left, longestNap)))
			// A signal cuts the sleep short: the loop looks again.
			_ = unix.Nanosleep(&nap, nil)
			if ctx.Err() != nil {
				return
			}
		}
		lateness.Record(time.Since(start) - at)
		due <- i
	}
}
