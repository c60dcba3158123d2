package gateway

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// metric is a histogram as Prometheus takes it: bounds in base units, buckets
// cumulative.
func (h *histogramTotal) metric(st stage, labels ...string) prometheus.Metric {
	scale := st.scale()
	buckets := make(map[float64]uint64, len(stageBounds[st]))
	below := uint64(0)
	for i, bound := range stageBounds[st] {
		below += h.buckets[i]
		buckets[float64(bound)/scale] = below
	}
	return prometheus.MustNewConstHistogram(stageDescs[st], h.count, float64(h.sum)/scale, buckets, labels...)
}

// nativeSchema is the resolution of native histograms: 2^3 buckets between a
// value and its double, each 9 % wider than the one before.
const nativeSchema = 3

// nativeBuckets are the buckets of native histograms from nativeLowest on: for
// durations from 0.9 µs to 64 s, for rows from 1 to 2^26. What is less counts
// as zero, what is more in the last one.
const (
	nativeBuckets = 26*8 + 1
	nativeSeconds = -20 * 8
	nativeRows    = 0
)

// nativeBounds are the upper bounds of the buckets in nanoseconds and in rows.
// They are constant.
var nativeBounds = func() (bounds struct{ seconds, rows [nativeBuckets]int64 }) {
	for i := range nativeBuckets {
		bounds.seconds[i] = int64(1e9 * math.Exp2(float64(nativeSeconds+i)/8))
		bounds.rows[i] = int64(math.Exp2(float64(nativeRows+i) / 8))
	}
	return bounds
}()

// nativeHistogram counts observations by exponential bucket.
type nativeHistogram struct {
	zero    atomic.Uint64
	buckets [nativeBuckets]atomic.Uint64
}

// native is how a stage is counted: the bounds of the buckets, the number of
// the first one, and the value up to which an observation counts as zero.
func (st stage) native() (bounds []int64, lowest int, zero float64) {
	bounds, lowest = nativeBounds.seconds[:], nativeSeconds
	if st == stageBatch {
		bounds, lowest = nativeBounds.rows[:], nativeRows
	}
	return bounds, lowest, math.Exp2(float64(lowest-1) / 8)
}

func (h *nativeHistogram) observe(st stage, value int64) {
	bounds, _, zero := st.native()
	if float64(value) <= zero*st.scale() {
		h.zero.Add(1)
		return
	}
	i, _ := slices.BinarySearch(bounds, value)
	h.buckets[min(i, nativeBuckets-1)].Add(1)
}

// scale is how many of the unit that is measured in are one of the metric's.
func (st stage) scale() float64 {
	if st == stageBatch {
		return 1
	}
	return 1e9
}

// nativeCounters are one copy of a version's native histograms.
type nativeCounters struct {
	stages [stageCount]nativeHistogram
	_      [64]byte
}

// bothForms is a histogram with its buckets and in native form; which of them a
// scraper gets is for the format that it asks for.
type bothForms struct {
	prometheus.Metric
	native prometheus.Metric
}

// Write fills a message with both forms. The native one was read later and has
// counted no less, so that its count holds for both.
func (b bothForms) Write(to *dto.Metric) error {
	var native dto.Metric
	if err := b.Metric.Write(to); err != nil {
		return err
	}
	if err := b.native.Write(&native); err != nil {
		return err
	}
	h, n := to.Histogram, native.Histogram
	h.SampleCount, h.Schema, h.ZeroThreshold, h.ZeroCount = n.SampleCount, n.Schema, n.ZeroThreshold, n.ZeroCount
	h.PositiveSpan, h.PositiveDelta, h.CreatedTimestamp = n.PositiveSpan, n.PositiveDelta, n.CreatedTimestamp
	return nil
}

// nativeMetric adds the native form of one stage to its histogram.
func (v *versionCounters) nativeMetric(st stage, classic prometheus.Metric, sum float64) prometheus.Metric {
	_, lowest, threshold := st.native()
	populated := map[int]int64{}
	var zero, count uint64
	for i := range v.native {
		h := &v.native[i].stages[st]
		n := h.zero.Load()
		zero, count = zero+n, count+n
		for b := range h.buckets {
			if n := h.buckets[b].Load(); n > 0 {
				populated[lowest+b] += int64(n)
				count += n
			}
		}
	}
	native, err := prometheus.NewConstNativeHistogram(stageDescs[st], count, sum, populated, nil, zero, nativeSchema, threshold, v.created, v.model, v.version)
	if err != nil {
		return prometheus.NewInvalidMetric(stageDescs[st], err)
	}
	return bothForms{classic, native}
}

// NativeHistograms makes every histogram of requests a native one too. It is
// called before the first request.
func (m *Metrics) NativeHistograms() { m.native = true }

// newCounters are the counters of a version that nobody counted before.
func (m *Metrics) newCounters(model, version string) *versionCounters {
	c := &versionCounters{model: model, version: version}
	if m.native {
		c.native, c.created = make([]nativeCounters, stripeCount), time.Now()
	}
	return c
}
