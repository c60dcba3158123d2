package report

import "fmt"

// Throughput is contenders that answer the same requests in a closed loop.
type Throughput struct {
	Connections int            `json:"connections"`
	Models      []ModelFigures `json:"models"`
}

// ModelFigures are the figures of one model.
type ModelFigures struct {
	Model      string      `json:"model"`
	Version    string      `json:"version"`
	Contenders []Contender `json:"contenders"`
	Ratios     []Ratio     `json:"ratios"`
	Decoders   []Decoder   `json:"decoders,omitempty"`
}

// Decoder is how long the gateway's decoder takes for a number of a request, on
// one core, in nanoseconds of every round.
type Decoder struct {
	Name        string    `json:"name"`
	Protocol    string    `json:"protocol"`
	Numbers     int       `json:"numbers_a_request"`
	Nanoseconds []float64 `json:"ns_a_number"`
}

// Aim reads the aim for a decoder.
func (d *Decoder) Aim(model string, atMost float64) Aim {
	return Aim{
		What: fmt.Sprintf("%s, %s: JSON to numbers on one core, each", model, d.Name), Unit: "ns", AtMost: atMost,
		Reached: NewSpread(d.Nanoseconds), Measured: len(d.Nanoseconds),
	}
}

// Contender is one way of answering over all rounds. Unbalanced are the tries of
// rounds that do not count, because one process of a peer had more than its
// share of the connections.
type Contender struct {
	Name         string            `json:"name"`
	Kind         string            `json:"kind"`
	Connections  int               `json:"connections"`
	RequestBytes int               `json:"request_bytes"`
	Rounds       []ThroughputRound `json:"rounds"`
	Unbalanced   []ThroughputRound `json:"unbalanced_rounds,omitempty"`
}

// ThroughputRound is one contender in one round. CPU is microseconds of the
// whole server, with all its processes, for each request. Workers are the
// answers of each process of a peer that names them.
type ThroughputRound struct {
	// Round counts from 1: a contender may lack some.
	Round     int     `json:"round"`
	PerSecond float64 `json:"answered_per_second"`
	Latency   Latency `json:"latency"`
	CPU       float64 `json:"server_cpu_us_per_request"`
	Failed    int64   `json:"failed"`
	Cores     Cores   `json:"cores"`

	Workers map[string]int64 `json:"workers,omitempty"`
}

// mostShare is the largest part of the answers, of what would be its share, that
// one process of a peer may give where they are to share the connections.
const mostShare = 1.3

// Balanced reports whether all of n processes had about their share. One that
// had no connection is not among the workers.
func (r *ThroughputRound) Balanced(n int) bool {
	var sum, most int64
	for _, answers := range r.Workers {
		sum, most = sum+answers, max(most, answers)
	}
	return len(r.Workers) == n && float64(most)*float64(n) <= mostShare*float64(sum)
}

// Ratio is one contender's figures divided by another's, round by round.
type Ratio struct {
	Of        string `json:"of"`
	To        string `json:"to"`
	PerSecond Spread `json:"answered_per_second"`
	// P50 and P99 are nil where one of the two has more requests under way
	// than the other: a runtime has as many as it runs.
	P50 *Spread `json:"p50,omitempty"`
	P99 *Spread `json:"p99,omitempty"`
	CPU Spread  `json:"server_cpu_per_request"`
	// Rounds is how many both have.
	Rounds int `json:"rounds"`
}

// kindRuntime is the kind of the contenders without a queue.
const kindRuntime = "runtime"

// NewRatio compares two contenders in the rounds that both have.
func NewRatio(of, to *Contender) Ratio {
	divide := func(figure func(*ThroughputRound) float64) Spread {
		var ratios []float64
		for _, both := range paired(of, to) {
			if base := figure(both[1]); base > 0 {
				ratios = append(ratios, figure(both[0])/base)
			}
		}
		return NewSpread(ratios)
	}
	ratio := Ratio{
		Of: of.Name, To: to.Name, Rounds: len(paired(of, to)),
		PerSecond: divide(func(r *ThroughputRound) float64 { return r.PerSecond }),
		CPU:       divide(func(r *ThroughputRound) float64 { return r.CPU }),
	}
	if of.Connections == to.Connections {
		p50 := divide(func(r *ThroughputRound) float64 { return r.Latency.P50 })
		p99 := divide(func(r *ThroughputRound) float64 { return r.Latency.P99 })
		ratio.P50, ratio.P99 = &p50, &p99
	}
	return ratio
}

// paired are the rounds that two contenders both have.
func paired(of, to *Contender) (both [][2]*ThroughputRound) {
	for i := range of.Rounds {
		for j := range to.Rounds {
			if of.Rounds[i].Round == to.Rounds[j].Round {
				both = append(both, [2]*ThroughputRound{&of.Rounds[i], &to.Rounds[j]})
			}
		}
	}
	return both
}
