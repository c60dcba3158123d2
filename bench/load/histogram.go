package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What a histogram tells apart: from a microsecond to two minutes with three
// significant digits. Longer is counted as two minutes; Max stays exact.
const (
	leastLatency   = time.Microsecond
	longestLatency = 2 * time.Minute
	digits         = 3
)

// Histogram counts durations. Quantiles are true to one part in a thousand.
// It is not safe for concurrent use: each goroutine fills its own and they are
// merged.
type Histogram struct {
	counts *hdrhistogram.Histogram
	sum    time.Duration
	max    time.Duration
}

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram {
	return &Histogram{counts: hdrhistogram.New(int64(leastLatency), int64(longestLatency), digits)}
}

// Record counts one duration; a negative one counts as 0.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.sum += d
	h.max = max(h.max, d)
	if err := h.counts.RecordValue(int64(min(d, longestLatency))); err != nil {
		panic("load: a duration within the histogram's bounds is refused: " + err.Error())
	}
}

// Merge adds what another histogram has counted.
func (h *Histogram) Merge(other *Histogram) {
	h.sum += other.sum
	h.max = max(h.max, other.max)
	h.counts.Merge(other.counts)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() int64 { return h.counts.TotalCount() }

// Max returns the longest duration, 0 of none.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean returns the exact mean, 0 of none.
func (h *Histogram) Mean() time.Duration {
	if n := h.Count(); n > 0 {
		return h.sum / time.Duration(n)
	}
	return 0
}

// Quantile returns the least duration that at least a part q (0 to 1) of all
// does not exceed, 0 of none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return min(time.Duration(h.counts.ValueAtQuantile(100*q)), h.max)
}
