package load

import (
	"context"
	"errors"
	goruntime "runtime"
	"time"
)

// ClosedOptions say how a closed loop runs.
type ClosedOptions struct {
	// Connections is how many requests are always under way.
	Connections int
	// Warmup is sent before, and not measured.
	Warmup, Duration time.Duration
	Meters           map[string]Meter
}

// Closed keeps every connection busy with one request after another. Only
// requests that began and ended within the window are measured, and a request
// that fails is the last on its connection; one that is refused is not. A
// cancelled context ends it early with the context's error.
func Closed(ctx context.Context, t Target, o ClosedOptions) (*Outcome, error) {
	route, err := t.route()
	if err != nil {
		return nil, err
	}
	if o.Connections < 1 {
		return nil, errors.New("a closed loop needs a connection")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	threads := min(goruntime.NumCPU(), o.Connections)
	tallies := newTallies(threads)
	begin := time.Now().Add(o.Warmup)
	end := begin.Add(o.Duration)
	wait := startThreads(threads, func(k int) {
		t := &closedThread{tally: &tallies[k], begin: begin, end: end}
		if err := t.run(ctx, route, share(o.Connections, k, threads), k, threads); err != nil {
			tallies[k].fail(err)
		}
	})
	return observe(ctx, stop, wait, o.Meters, begin, end, o.Duration, tallies)
}

// closedThread is one thread's part of a closed loop.
type closedThread struct {
	*eventLoop
	tally      *tally
	begin, end time.Time
	streams    []stream
	// live is how many streams have a request under way.
	live int
}

// stream is what one connection is about: its next request, and since when the
// last is under way.
type stream struct {
	next  int
	since time.Time
}

func (t *closedThread) run(ctx context.Context, r *route, connections, first, step int) (err error) {
	if t.eventLoop, err = r.newEventLoop(connections); err != nil {
		return err
	}
	defer t.close()
	t.streams = make([]stream, connections)
	for i, c := range t.connections {
		// Connections begin with different requests.
		t.streams[i].next = first + i*step
		t.live++
		t.proceed(c)
	}
	for t.live > 0 && ctx.Err() == nil {
		if err := t.await(longestNap, t.ended); err != nil {
			return err
		}
	}
	return nil
}

// proceed sends the next request of a connection, unless the time is over.
func (t *closedThread) proceed(c *connection) {
	s := &t.streams[c.key]
	for {
		if s.since = time.Now(); !s.since.Before(t.end) {
			t.live--
			return
		}
		i := s.next % len(t.target.Requests)
		s.next++
		if over, at, err := c.begin(i, s.since); !over || !t.count(c, at, err) {
			return
		}
	}
}

func (t *closedThread) ended(c *connection, at time.Time, err error) {
	if t.count(c, at, err) {
		t.proceed(c)
	}
}

// count counts a request and reports whether another may follow.
func (t *closedThread) count(c *connection, at time.Time, err error) bool {
	t.tally.closed(t.streams[c.key].since, at, t.begin, t.end, err)
	if kindOf(err) == Failed {
		t.live--
		return false
	}
	return true
}
