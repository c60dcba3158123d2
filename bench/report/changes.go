package report

import "fmt"

// Changes is latency while the configuration changes.
type Changes struct {
	Model        string   `json:"model"`
	Versions     []string `json:"versions"`
	Protocol     string   `json:"protocol"`
	Transport    string   `json:"transport"`
	RequestBytes int      `json:"request_bytes"`
	Connections  int      `json:"connections"`
	Arrivals     string   `json:"arrivals"`
	// Capacity is requests a second of each version in a closed loop of
	// CapacityConnections; Offered is Load times the least of them.
	Capacity            []Spread `json:"capacity_per_second"`
	CapacityConnections int      `json:"capacity_connections"`
	Load                float64  `json:"load"`
	Offered             float64  `json:"offered_per_second"`
	Phases              []Phase  `json:"phases"`
}

// Phase is one kind of time over all rounds.
type Phase struct {
	Name   string       `json:"name"`
	Change string       `json:"change"`
	Every  float64      `json:"every_ms"`
	AimP99 float64      `json:"aim_p99_ms"`
	Within float64      `json:"within_ms,omitempty"`
	Rounds []PhaseRound `json:"rounds"`
}

// PhaseRound is one phase of one round. InForce holds, of every change, how
// long it took from the write to Consul to the first answer under it; Write is
// the part that the write itself took.
type PhaseRound struct {
	Latency     Latency   `json:"latency"`
	LatenessP99 float64   `json:"generator_lateness_p99_ms"`
	PerSecond   float64   `json:"answered_per_second"`
	Failed      int64     `json:"failed"`
	Cores       Cores     `json:"cores"`
	InForce     []float64 `json:"in_force_ms"`
	Write       []float64 `json:"write_ms"`
	// Written is when the changes were written, from the begin of the round.
	Written []float64 `json:"written_ms,omitempty"`
}

// over gathers one figure of every round.
func over[R any](rounds []R, of func(*R) float64) Spread {
	values := make([]float64, len(rounds))
	for i := range rounds {
		values[i] = of(&rounds[i])
	}
	return NewSpread(values)
}

// InForce is the times of all rounds together.
func (p *Phase) InForce() []float64 {
	var all []float64
	for _, r := range p.Rounds {
		all = append(all, r.InForce...)
	}
	return all
}

// Write is the durations of all writes to Consul.
func (p *Phase) Write() []float64 {
	var all []float64
	for _, r := range p.Rounds {
		all = append(all, r.Write...)
	}
	return all
}

// Aim reads the aim for the 99th percentile of a phase over that of the first.
func (c *Changes) Aim(i int, atMost float64) Aim {
	p := &c.Phases[i]
	return Aim{
		What: fmt.Sprintf("%s, %s: p99 over that of %s", c.Model, p.Name, c.Phases[0].Name), Unit: "×", AtMost: atMost,
		Reached:  p.against(&c.Phases[0], func(r *PhaseRound) float64 { return r.Latency.P99 }),
		Measured: min(len(p.Rounds), len(c.Phases[0].Rounds)),
	}
}

// AimInForce reads the aim for the time from a write to the first answer under
// it: the 99th percentile of all rounds together, with those of the rounds.
func (c *Changes) AimInForce(i int) Aim {
	p := &c.Phases[i]
	reached := over(p.Rounds, func(r *PhaseRound) float64 { return Quantile(r.InForce, .99) })
	reached.Median = Quantile(p.InForce(), .99)
	return Aim{What: fmt.Sprintf("%s, %s: p99 from the write to Consul to the first answer under it", c.Model, p.Name), Unit: "ms", AtMost: p.AimP99, Reached: reached, Measured: len(p.InForce())}
}

// against divides a figure of this phase by that of another, round by round.
func (p *Phase) against(base *Phase, of func(*PhaseRound) float64) Spread {
	var ratios []float64
	for i := range min(len(p.Rounds), len(base.Rounds)) {
		if b := of(&base.Rounds[i]); b > 0 {
			ratios = append(ratios, of(&p.Rounds[i])/b)
		}
	}
	return NewSpread(ratios)
}
