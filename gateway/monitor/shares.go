package monitor

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	// dealEvery is how often shares are dealt out.
	dealEvery = time.Second
	// countingShare is the part of one core that counting samples may take: what
	// is costly to count is sampled less often.
	countingShare = 0.01
	// costGrowth is by how much what a sample takes may seem to grow with the
	// next one.
	costGrowth = 1.02
	// enoughSamples say what one takes to count; before, nobody is held to it.
	enoughSamples = 20
)

// costOf is what a sample takes to count once another one has taken so long. On
// a busy machine a sample waits for a core, and takes no more work for that: so
// the quickest count, and slower ones only where there are many in a row.
func costOf(before, took time.Duration) time.Duration {
	if before == 0 {
		return took
	}
	return min(took, time.Duration(costGrowth*float64(before))+1)
}

// demand is how many requests a second a version answers.
type demand struct {
	rate float64
	// most is how many of them a second there is time to count, taken how many
	// are to be sampled.
	most, taken float64
}

// deal shares a budget of samples a second out among the versions of a model.
// Each gets as much as the others, or all its requests where those are fewer;
// what that leaves goes to the others. So a canary with a hundredth of the
// requests has as many samples as the rest.
func deal(budget float64, demands []*demand) {
	waiting := slices.SortedFunc(slices.Values(demands), func(a, b *demand) int { return cmp.Compare(min(a.rate, a.most), min(b.rate, b.most)) })
	for i, d := range waiting {
		d.taken = min(d.rate, d.most, budget/float64(len(waiting)-i))
		budget -= d.taken
	}
}

// thresholdOf is the threshold at which so many of the requests are taken.
func thresholdOf(taken, rate float64) uint64 {
	switch {
	case taken >= rate: // also where there were none: the next one counts
		return math.MaxUint64
	case taken <= 0:
		return 0
	}
	return uint64(math.Ldexp(taken/rate, 64))
}

// deal sets what part of its requests each target takes from now on. It is
// called every dealEvery by one goroutine.
func (m *Monitor) deal(elapsed time.Duration) {
	watched := m.watched()
	targets := 0
	for _, w := range watched {
		targets += len(w.targets)
	}
	for _, w := range watched {
		// Each target may take its part of the counting's share of a core.
		share := countingShare / float64(targets)
		var demands []*demand
		var compared []*Target
		for _, t := range w.targets {
			answers := t.version.Answers()
			d := &demand{rate: float64(answers-t.answers) / elapsed.Seconds(), most: math.Inf(1)}
			t.answers = answers
			if t.reference() == nil {
				continue
			}
			if cost := t.costs(); cost > 0 {
				d.most = share / cost.Seconds()
			}
			demands, compared = append(demands, d), append(compared, t)
		}
		deal(w.Drift.Sample, demands)
		for i, t := range compared {
			d := demands[i]
			most := min(w.Drift.Sample, d.most)
			t.open(thresholdOf(d.taken, d.rate), int64(math.Ceil(2*most*dealEvery.Seconds())))
		}
	}
}
