package gateway

import (
	"math"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// shadowResult is what became of a copy.
type shadowResult uint8

const (
	shadowAgreed shadowResult = iota
	shadowDisagreed
	shadowFailed
	// shadowProbed is a copy that only tried the version.
	shadowProbed
	shadowDropped
	// shadowRefused is a copy that the version's breaker did not let through.
	shadowRefused
	// shadowUnlike is one for a version that takes other inputs.
	shadowUnlike
	shadowResultCount
)

var shadowResultNames = [shadowResultCount]string{"agreed", "disagreed", "failed", "probed", "dropped", "breaker_open", "other_inputs"}

// shadowCounts are what the copies for one version came to.
type shadowCounts struct {
	mu      sync.Mutex
	results [shadowResultCount]uint64
	// labels are rows with a class in both answers, flips those with another.
	labels, flips uint64
	// copies were compared number by number; mean is the sum of their mean
	// absolute differences, largest the largest difference of all that are
	// finite.
	copies        uint64
	mean, largest float64
}

func (c *shadowCounts) count(r shadowResult) {
	c.mu.Lock()
	c.results[r]++
	c.mu.Unlock()
}

func (c *shadowCounts) compared(d *comparison, agrees bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if agrees {
		c.results[shadowAgreed]++
	} else {
		c.results[shadowDisagreed]++
	}
	c.labels += uint64(d.labels)
	c.flips += uint64(d.flips)
	if d.count > 0 {
		c.copies++
		c.mean += d.mean()
	}
	if !math.IsInf(d.largest, 1) {
		c.largest = max(c.largest, d.largest)
	}
}

// collect exports the counts of a version that was ever sent a copy.
func (c *shadowCounts) collect(to chan<- prometheus.Metric, model, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := uint64(0)
	for r, n := range c.results {
		if total += n; n > 0 {
			to <- prometheus.MustNewConstMetric(shadowsDesc, prometheus.CounterValue, float64(n), model, version, shadowResultNames[r])
		}
	}
	if total == 0 {
		return
	}
	to <- prometheus.MustNewConstMetric(disagreementsDesc, prometheus.CounterValue, float64(c.results[shadowDisagreed]), model, version)
	to <- prometheus.MustNewConstMetric(shadowLabelsDesc, prometheus.CounterValue, float64(c.labels), model, version)
	to <- prometheus.MustNewConstMetric(shadowFlipsDesc, prometheus.CounterValue, float64(c.flips), model, version)
	to <- prometheus.MustNewConstSummary(shadowDifferenceDesc, c.copies, c.mean, nil, model, version)
	to <- prometheus.MustNewConstMetric(shadowLargestDesc, prometheus.GaugeValue, c.largest, model, version)
}
