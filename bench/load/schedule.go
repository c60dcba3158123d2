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

// Schedule returns when requests are due, from 0 up to total, at a mean rate a
// second. The same seed gives the same schedule.
func Schedule(arrivals Arrivals, rate float64, total time.Duration, seed uint64) ([]time.Duration, error) {
	if rate <= 0 {
		return nil, fmt.Errorf("a rate of %v requests a second", rate)
	}
	var due []time.Duration
	switch arrivals {
	case Even:
		for i := 0; ; i++ {
			at := time.Duration(float64(i) / rate * float64(time.Second))
			if at >= total {
				return due, nil
			}
			due = append(due, at)
		}
	case Poisson:
		random := rand.New(rand.NewPCG(seed, 0))
		for at := 0.0; ; {
			at += random.ExpFloat64() / rate
			if d := time.Duration(at * float64(time.Second)); d < total {
				due = append(due, d)
				continue
			}
			return due, nil
		}
	}
	return nil, fmt.Errorf("unknown arrivals %q", arrivals)
}
