package load

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Loop is a closed loop around any work in this process: stream is called once
// for each of the connections and returns what is done again and again, and what
// ends it. A step that fails ends its stream.
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
				tallies[w].closed(from, now, begin, end, err)
				if kindOf(err) == Failed {
					return
				}
				from = now
			}
		})
	}
	return observe(ctx, stop, wg.Wait, o.Meters, begin, end, o.Duration, tallies)
}
