package load

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"time"
)

// OpenOptions say how an open loop runs.
type OpenOptions struct {
	// Rate is requests a second. Stages, where there are any, follow one
	// another instead of Duration at that rate, which is then the warm-up's.
	Rate     float64
	Stages   []Stage
	Arrivals Arrivals
	Seed     uint64
	// Connections bounds how many requests are under way; each thread of the
	// generator has an equal part of them. One that is due while all are busy
	// waits, and its latency goes on counting.
	Connections int
	// Warmup is sent before, and not measured.
	Warmup, Duration time.Duration
	// Keep asks for the samples of the outcome.
	Keep bool
	// Meters are read over MeterFor from MeterFrom after the warm-up on, which
	// is within what is measured; over all of it where MeterFor is 0.
	Meters              map[string]Meter
	MeterFrom, MeterFor time.Duration
}

// Open sends requests when they are due and returns when the last was
// answered. A cancelled context ends it early with the context's error.
func Open(ctx context.Context, t Target, o OpenOptions) (*Outcome, error) {
	route, err := t.route()
	if err != nil {
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
	if o.MeterFor == 0 {
		o.MeterFrom, o.MeterFor = 0, window
	}
	if o.MeterFrom < 0 || o.MeterFor < 0 || o.MeterFrom+o.MeterFor > window {
		return nil, fmt.Errorf("meters are read over %s from %s on, of %s that are measured", o.MeterFor, o.MeterFrom, window)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	threads := min(goruntime.NumCPU(), o.Connections)
	tallies := newTallies(threads)
	lateness := make([]*Histogram, threads)
	start := time.Now()
	wait := startThreads(threads, func(k int) {
		lateness[k] = NewHistogram()
		t := &openThread{start: start, schedule: schedule, warmup: o.Warmup, step: threads, sent: k, due: k, keep: o.Keep,
			tally: &tallies[k], lateness: lateness[k]}
		if err := t.run(ctx, route, share(o.Connections, k, threads)); err != nil {
			tallies[k].fail(err)
		}
	})
	metered := start.Add(o.Warmup + o.MeterFrom)
	out, err := observe(ctx, stop, wait, o.Meters, metered, metered.Add(o.MeterFor), window, tallies)
	if err != nil {
		return nil, err
	}
	for _, h := range lateness {
		out.Lateness.Merge(h)
	}
	return out, nil
}

// openThread is one thread's part of an open loop: every step-th request of the
// schedule, which it sends by its own clock.
type openThread struct {
	*eventLoop
	start    time.Time
	schedule []time.Duration
	warmup   time.Duration
	step     int
	keep     bool
	tally    *tally
	lateness *Histogram

	// Requests from sent on have not been sent; those before due should have
	// been, and wait for a connection.
	sent, due int
	// free are the connections without a request, those that have been free for
	// longest first: a server that divides connections among processes divides
	// the load by that.
	free queue
	// carried is the place in the schedule of the request on each connection.
	carried []int
}

func (t *openThread) run(ctx context.Context, r *route, connections int) (err error) {
	if t.eventLoop, err = r.newEventLoop(connections); err != nil {
		return err
	}
	defer t.close()
	t.carried = make([]int, connections)
	t.free.waiting = make([]*connection, 0, connections)
	for _, c := range t.connections {
		t.free.push(c)
	}
	for ctx.Err() == nil {
		now := time.Now()
		t.proceed(now)
		nap := longestNap
		if t.due < len(t.schedule) {
			nap = t.schedule[t.due] - now.Sub(t.start)
		} else if t.free.len() == connections {
			return nil
		}
		if err := t.await(nap, t.ended); err != nil {
			return err
		}
	}
	return nil
}

// proceed takes up what is due and sends what has a connection.
func (t *openThread) proceed(now time.Time) {
	for since := now.Sub(t.start); t.due < len(t.schedule) && t.schedule[t.due] <= since; t.due += t.step {
		t.lateness.Record(since - t.schedule[t.due])
	}
	for t.sent < t.due && t.free.len() > 0 {
		c := t.free.pop()
		i := t.sent
		t.sent += t.step
		t.carried[c.key] = i
		if over, at, err := c.begin(i%len(t.target.Requests), now); over {
			t.count(c, at, err)
		}
	}
}

// ended counts a request, and sends what has waited for its connection.
func (t *openThread) ended(c *connection, at time.Time, err error) {
	t.count(c, at, err)
	t.proceed(at)
}

func (t *openThread) count(c *connection, at time.Time, err error) {
	due := t.schedule[t.carried[c.key]]
	s := Sample{Due: due - t.warmup, Latency: at.Sub(t.start.Add(due)), Kind: kindOf(err)}
	t.tally.sample(s, err)
	if t.keep && s.Due >= 0 {
		t.tally.samples = append(t.tally.samples, s)
	}
	t.free.push(c)
}
