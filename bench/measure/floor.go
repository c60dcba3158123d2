package measure

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/server"
)

// refusal is what the bare server of a floor answers to everything.
const refusal = `{"error":"the queue is full"}`

// floor is how much a closed loop gets from a contender while a bare server on
// the same cores refuses so many requests a second: client and kernel take what
// refusals cost whoever refuses.
func (f *offering) floor(ctx context.Context, round int, made contender, refused float64) (perSecond float64, err error) {
	var answers []server.Recorded
	for _, r := range made.target.Requests {
		answers = append(answers, server.Recorded{
			Path: r.Path, Status: http.StatusServiceUnavailable, Body: []byte(refusal),
			Header: [][2]string{{"Content-Type", "application/json"}, {"Retry-After", "1"}},
		})
	}
	bare, err := server.StartEcho(ctx, "tcp", "", false, answers)
	if err != nil {
		return 0, err
	}
	defer bare.Stop()
	target := made.target
	target.Network, target.Addr = bare.Network, bare.Addr
	target.Check = func(_ int, a load.Answer, _ time.Time) error {
		if a.Code() != http.StatusServiceUnavailable {
			return fmt.Errorf("the bare server answers %d", a.Code())
		}
		return load.ErrRefused
	}
	var beside *load.Outcome
	var besideErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		beside, besideErr = load.Open(ctx, target, load.OpenOptions{
			Rate: max(1, refused), Arrivals: load.Arrivals(f.options.Arrivals), Seed: uint64(round), Connections: f.options.Connections,
			Warmup: f.warmup(), Duration: f.round(),
		})
	})
	perSecond, err = f.capacity(ctx, made)
	wg.Wait()
	if err == nil {
		err = besideErr
	}
	if err != nil {
		return 0, err
	}
	beside.Refused = 0 // that is what it is for
	f.fail(fmt.Sprintf("round %d, floor", round+1), beside)
	return perSecond, nil
}
