package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// exact is the nearest-rank quantile of the values themselves.
func exact(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func TestQuantilesAreTrueToOnePartInAThousand(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]func() time.Duration{
		"uniform": func() time.Duration {
			return time.Microsecond + time.Duration(random.Int64N(int64(20*time.Millisecond)))
		},
		"exponential": func() time.Duration { return time.Duration(random.ExpFloat64() * float64(3*time.Millisecond)) },
		"long tail": func() time.Duration {
			return time.Duration(math.Exp(random.NormFloat64()*2) * float64(time.Millisecond))
		},
		"two humps": func() time.Duration {
			return []time.Duration{time.Millisecond, time.Second}[random.IntN(2)] + time.Duration(random.Int64N(1e6))
		},
	}
	for name, draw := range shapes {
		var all []time.Duration
		parts := []*Histogram{NewHistogram(), NewHistogram(), NewHistogram()}
		var sum time.Duration
		for i := range 30_000 {
			d := draw()
			all, sum = append(all, d), sum+d
			parts[i%len(parts)].Record(d)
		}
		h := NewHistogram()
		for _, p := range parts {
			h.Merge(p)
		}
		slices.Sort(all)
		for _, q := range []float64{0.001, .25, .5, .9, .99, .999, .9999, 1} {
			want, got := exact(all, q), h.Quantile(q)
			if allowed := max(want/1000, leastLatency); got < want-allowed || got > want+allowed {
				t.Errorf("%s: quantile %v is %s, want %s", name, q, got, want)
			}
		}
		if h.Count() != int64(len(all)) || h.Max() != all[len(all)-1] || h.Mean() != sum/time.Duration(len(all)) {
			t.Errorf("%s: count %d, max %s, mean %s: want %d, %s, %s", name, h.Count(), h.Max(), h.Mean(), len(all), all[len(all)-1], sum/time.Duration(len(all)))
		}
	}
}

func TestDurationsOutsideOfTheBoundsAreCounted(t *testing.T) {
	h := NewHistogram()
	if h.Quantile(.5) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Error("an empty histogram has quantiles")
	}
	h.Record(-time.Second)
	h.Record(time.Hour)
	if h.Count() != 2 || h.Max() != time.Hour || h.Quantile(.5) > leastLatency {
		t.Errorf("count %d, max %s, median %s", h.Count(), h.Max(), h.Quantile(.5))
	}
	if got := h.Quantile(1); got < longestLatency || got > longestLatency+longestLatency/1000 {
		t.Errorf("an hour is counted as %s, want about %s", got, longestLatency)
	}
}
