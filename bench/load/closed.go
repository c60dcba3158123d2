package load

import (
	"context"
	"errors"
	"sync"
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
	if err := t.validate(); err != nil {
		return nil, err
	}
	return Loop(ctx, o, func(w int) (step func(i int) error, closing func(), err error) {
		c, err := dial(&t)
		if err != nil {
			return nil, nil, err
		}
		return func(i int) error {
			_, err := c.do((i + w) % len(t.Requests))
			return err
		}, c.close, nil
	})
}

// Loop is a closed loop around any work: stream is called once for each of the
// connections and returns what is done again and again, and what ends it. A
// step that fails ends its stream.
func Loop(ctx context.Context, o ClosedOptions, stream func(w int) (step func(i int) error, closing func(), err error)) (*Outcome, error) {
	if o.Connections < 1 {
		return nil, errors.New("a closed loop needs a connection")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tallies := newTallies(o.Connections)
	begin := time.Now().Add(o.Warmup)
	end := begin.Add(o.Duration)
	var wg sync.WaitGroup
	for w := range tallies {
		wg.Go(func() {
			step, closing, err := stream(w)
			if err != nil {
				tallies[w].fail(err)
				return
			}
			defer closing()
			for i, from := 0, time.Now(); from.Before(end) && ctx.Err() == nil; i++ {
				err := step(i)
				now := time.Now()
				within := !from.Before(begin) && !now.After(end)
				switch kind := kindOf(err); {
				case kind == Failed:
					tallies[w].fail(err)
					return
				case within && kind == Refused:
					tallies[w].refuse(now.Sub(from))
				case within:
					tallies[w].good(now.Sub(from))
				}
				from = now
			}
		})
	}
	cpu, err := measure(ctx, o.Meters, begin, end)
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
	out := newOutcome(tallies, o.Duration)
	out.CPU = cpu
	return out, nil
}
