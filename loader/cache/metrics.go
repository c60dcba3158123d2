package cache

import "github.com/prometheus/client_golang/prometheus"

// Register registers the metrics of the cache.
func (c *Cache) Register(registry prometheus.Registerer) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "segue_artifact_cache_bytes",
		Help: "Bytes on disk that the artifact cache takes, with those that downloads under way have claimed.",
	}, func() float64 { return float64(c.Bytes()) }))
}
