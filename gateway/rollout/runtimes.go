package rollout

import (
	"math"

	"github.com/DataDog/sketches-go/ddsketch"
)

// sketch is a histogram of run times in seconds whose quantiles are within 1 %
// (DDSketch; Masson, Rim and Lee, 2019). The zero value is empty. It is not safe
// for concurrent use.
type sketch struct{ of *ddsketch.DDSketch }

// bin is one of its bins.
type bin struct {
	index int
	count uint64
}

// maxIndex bounds the bins' indices: 10^±35 seconds.
const maxIndex = 4096

func (s *sketch) ready() *ddsketch.DDSketch {
	if s.of == nil {
		// An error would mean an accuracy out of (0, 1).
		s.of, _ = ddsketch.LogCollapsingLowestDenseDDSketch(0.01, maxBins)
	}
	return s.of
}

func (s *sketch) add(seconds float64) {
	if seconds > 1e-9 && seconds < 1e9 {
		_ = s.ready().Add(seconds) // refuses only what cannot be indexed
	}
}

func (s *sketch) addBins(bins []bin) {
	for _, b := range bins {
		s.ready().GetPositiveValueStore().AddWithCount(b.index, float64(b.count))
	}
}

func (s *sketch) bins() []bin {
	if s.of == nil {
		return nil
	}
	var all []bin
	s.of.GetPositiveValueStore().ForEach(func(index int, count float64) bool {
		if count >= 1 && index >= -maxIndex && index <= maxIndex {
			all = append(all, bin{index, uint64(count)})
		}
		return false
	})
	return all
}

// minRuns is how many runs it takes to know a 99th percentile: five of them are
// above it.
const minRuns = 500

// SlowReference is stable's 99th percentile of run times in seconds, over all
// writers, whichever step they are at; ok is false while there are fewer than
// 500 runs. It is for Recorder.Begin and SetReference; gateways need not agree
// on it, as long as each keeps its own for a step.
func (t *Total) SlowReference() (seconds float64, ok bool) {
	if t.runs.of == nil || t.runs.of.GetCount() < minRuns {
		return 0, false
	}
	p99, err := t.runs.of.GetValueAtQuantile(0.99)
	return p99, err == nil && p99 > 0 && !math.IsInf(p99, 0)
}
