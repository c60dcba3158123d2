package measure

import (
	"slices"
	"time"

	"github.com/segue-serving/segue/bench/load"
)

// stretch is what became of the requests that were due in a part of the time.
type stretch struct {
	good    *load.Histogram
	refused int64
}

// during gathers the requests that were due from a time up to another.
func during(samples []load.Sample, from, to time.Duration) stretch {
	s := stretch{good: load.NewHistogram()}
	for _, one := range samples {
		switch {
		case one.Due < from || one.Due >= to:
		case one.Kind == load.Good:
			s.good.Record(one.Latency)
		case one.Kind == load.Refused:
			s.refused++
		}
	}
	return s
}

// arrived counts the good answers that came from a time up to another: those to
// requests that were due then may have come later.
func arrived(samples []load.Sample, from, to time.Duration) (good int64) {
	for _, s := range samples {
		if at := s.Due + s.Latency; s.Kind == load.Good && at >= from && at < to {
			good++
		}
	}
	return good
}

// What is as it was before: over a window, nothing refused or failed and half of
// the latencies at most so many times those before, and so much.
const (
	recoveryWindow = 100 * time.Millisecond
	recoveryTimes  = 3
	recoveryMore   = 5 * time.Millisecond
)

// recovery is how long after the end of an overload the last window lies in
// which not all was as before its begin. Samples are in the order of their due
// times.
func recovery(samples []load.Sample, begin, end time.Duration) time.Duration {
	bound := max(recoveryTimes*during(samples, 0, begin).good.Quantile(.5), recoveryMore)
	last := time.Duration(0)
	for from := end; from <= latest(samples); from += recoveryWindow {
		window := slices.DeleteFunc(slices.Clone(samples), func(s load.Sample) bool { return s.Due < from || s.Due >= from+recoveryWindow })
		bad := slices.ContainsFunc(window, func(s load.Sample) bool { return s.Kind != load.Good })
		if bad || during(window, from, from+recoveryWindow).good.Quantile(.5) > bound {
			last = from + recoveryWindow - end
		}
	}
	return last
}

func latest(samples []load.Sample) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	return samples[len(samples)-1].Due
}
