package load

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Arrivals says how the due times of an open loop lie.
type Arrivals string

// Poisson arrivals are those of many clients who do not know of each other;
// Even ones are all equally far apart, which queues less and looks better.
const (
	Poisson Arrivals = "poisson"
	Even    Arrivals = "even"
)

// Stage is a mean rate of requests a second for a while.
type Stage struct {
	Rate float64
	For  time.Duration
}

// Schedule returns when requests are due, from 0 on, in stages that follow one
// another. The same seed gives the same schedule.
func Schedule(arrivals Arrivals, seed uint64, stages ...Stage) ([]time.Duration, error) {
	random := rand.New(rand.NewPCG(seed, 0))
	var due []time.Duration
	begin := time.Duration(0)
	for _, s := range stages {
		if s.Rate <= 0 {
			return nil, fmt.Errorf("a rate of %v requests a second", s.Rate)
		}
		at := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
		switch arrivals {
		case Even:
			for i := 0; at(float64(i)/s.Rate) < s.For; i++ {
				due = append(due, begin+at(float64(i)/s.Rate))
			}
		case Poisson:
			for t := random.ExpFloat64() / s.Rate; at(t) < s.For; t += random.ExpFloat64() / s.Rate {
				due = append(due, begin+at(t))
			}
		default:
			return nil, fmt.Errorf("unknown arrivals %q", arrivals)
		}
		begin += s.For
	}
	return due, nil
}
