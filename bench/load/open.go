package load

import (
	"context"
	"errors"
	goruntime "runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// OpenOptions say how an open loop runs.
type OpenOptions struct {
	// Rate is requests a second. Stages, where there are any, follow one
	// another instead of Duration at that rate, which is then the warm-up's.
	Rate     float64
	Stages   []Stage
	Arrivals Arrivals
	Seed     uint64
	// Connections bounds how many requests are under way. One that is due
	// while all are busy waits, and its latency goes on counting.
	Connections int
	// Warmup is sent before, and not measured.
	Warmup, Duration time.Duration
	// Keep asks for the samples of the outcome.
	Keep   bool
	Meters map[string]Meter
}

// Open sends requests when they are due and returns when the last was
// answered. A cancelled context ends it early with the context's error.
func Open(ctx context.Context, t Target, o OpenOptions) (*Outcome, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	if o.Connections < 1 {
		return nil, errors.New("an open loop needs a connection")
	}
	stages := o.Stages
	if stages == nil {
		stages = []Stage{{o.Rate, o.Duration}}
	}
	schedule, err := Schedule(o.Arrivals, o.Seed, append([]Stage{{o.Rate, o.Warmup}}, stages...)...)
	if err != nil {
		return nil, err
	}
	window := time.Duration(0)
	for _, s := range stages {
		window += s.For
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	start := time.Now()
	// As long as the schedule, so that the clock never waits for a connection.
	due := make(chan int, len(schedule))
	lateness := NewHistogram()
	tallies := newTallies(o.Connections)
	var wg sync.WaitGroup
	wg.Go(func() { pace(ctx, start, schedule, due, lateness) })
	for w := range tallies {
		wg.Go(func() {
			c, err := dial(&t)
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
	begin := start.Add(o.Warmup)
	cpu, err := measure(ctx, o.Meters, begin, begin.Add(window))
	if err != nil {
		stop()
	}
	wg.Wait()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	out := newOutcome(tallies, window)
	out.Lateness, out.CPU = lateness, cpu
	return out, nil
}

// sample counts a request of an open loop: failures always, others when they
// were due after the warm-up.
func (t *tally) sample(s Sample, err error) {
	switch {
	case s.Kind == Failed:
		t.fail(err)
	case s.Due < 0:
	case s.Kind == Refused:
		t.refuse(s.Latency)
	default:
		t.good(s.Latency)
	}
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

// longestNap is how soon a cancelled run is noticed.
const longestNap = 50 * time.Millisecond
