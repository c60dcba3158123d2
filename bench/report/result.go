package report

import (
	"slices"
	"time"

	"github.com/segue-serving/segue/bench/load"
)

// Result is everything that one scenario measured. Exactly one of its kinds is
// set.
type Result struct {
	Scenario string `json:"scenario"`
	Title    string `json:"title"`
	Setup    Setup  `json:"setup"`
	// Failures is every promise that was broken, empty where none was.
	Failures []string `json:"failures"`
	// Missing is every round of a contender that has no figures, and why.
	Missing    []string    `json:"missing_rounds,omitempty"`
	Aims       []Aim       `json:"aims"`
	Changes    *Changes    `json:"changes,omitempty"`
	Throughput *Throughput `json:"throughput,omitempty"`
	Offered    *Offered    `json:"offered,omitempty"`
}

// Setup is what the figures depend on.
type Setup struct {
	Command       string    `json:"command"`
	Commit        string    `json:"commit"`
	Started       time.Time `json:"started"`
	TookSeconds   float64   `json:"took_seconds"`
	LoadAverage   string    `json:"load_average_at_start"`
	Rounds        int       `json:"rounds"`
	RoundSeconds  float64   `json:"round_seconds"`
	WarmupSeconds float64   `json:"warmup_seconds"`
	Machine       Machine   `json:"machine"`
	Versions      []Version `json:"versions"`
}

// Machine is where it ran.
type Machine struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"`
	Kernel    string `json:"kernel"`
	MemoryMiB int64  `json:"memory_mib"`
}

// Version is the version of one part.
type Version struct {
	Part    string `json:"part"`
	Version string `json:"version"`
}

// Spread is a median with the least and the largest of all rounds.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// NewSpread returns the spread of some values, zeros of none.
func NewSpread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	return Spread{Quantile(values, .5), slices.Min(values), slices.Max(values)}
}

// Quantile returns a quantile of values as they are, between two neighbours in
// proportion; 0 of none.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// Latency is a histogram in milliseconds. Curve holds the quantiles that
// CurveQuantiles lists.
type Latency struct {
	Count int64     `json:"count"`
	Mean  float64   `json:"mean_ms"`
	P50   float64   `json:"p50_ms"`
	P90   float64   `json:"p90_ms"`
	P99   float64   `json:"p99_ms"`
	P999  float64   `json:"p99_9_ms"`
	Max   float64   `json:"max_ms"`
	Curve []float64 `json:"curve_ms"`
}

// CurveQuantiles are the quantiles of a latency curve.
func CurveQuantiles() []float64 {
	return []float64{0, .25, .5, .75, .9, .95, .975, .99, .995, .9975, .999, .9995, .9999}
}

// NewLatency reads a histogram.
func NewLatency(h *load.Histogram) Latency {
	l := Latency{
		Count: h.Count(), Mean: Milliseconds(h.Mean()), Max: Milliseconds(h.Max()),
		P50: Milliseconds(h.Quantile(.5)), P90: Milliseconds(h.Quantile(.9)),
		P99: Milliseconds(h.Quantile(.99)), P999: Milliseconds(h.Quantile(.999)),
	}
	for _, q := range CurveQuantiles() {
		l.Curve = append(l.Curve, Milliseconds(h.Quantile(q)))
	}
	return l
}

// Milliseconds writes a duration as figures do.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Cores is the CPU time that each took, in cores: 1 is one core busy all the
// time. Others is the rest of the machine.
type Cores struct {
	Client float64 `json:"client"`
	Server float64 `json:"server"`
	Consul float64 `json:"consul"`
	Others float64 `json:"others"`
}

// Names of the meters whose readings NewCores takes.
const (
	MeterClient  = "client"
	MeterServer  = "server"
	MeterConsul  = "consul"
	MeterMachine = "machine"
)

// NewCores divides what meters moved by by the time that it took.
func NewCores(cpu map[string]time.Duration, window time.Duration) Cores {
	in := func(name string) float64 { return cpu[name].Seconds() / window.Seconds() }
	c := Cores{Client: in(MeterClient), Server: in(MeterServer), Consul: in(MeterConsul)}
	// The kernel counts a process's time more finely than the machine's.
	c.Others = max(0, in(MeterMachine)-c.Client-c.Server-c.Consul)
	return c
}
