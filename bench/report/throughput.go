package report

// Throughput is contenders that answer the same requests in a closed loop.
type Throughput struct {
	Connections int            `json:"connections"`
	Models      []ModelFigures `json:"models"`
}

// ModelFigures are the figures of one model.
type ModelFigures struct {
	Model       string      `json:"model"`
	Version     string      `json:"version"`
	JSONBytes   int         `json:"json_request_bytes"`
	BinaryBytes int         `json:"binary_request_bytes"`
	Contenders  []Contender `json:"contenders"`
	Ratios      []Ratio     `json:"ratios"`
}

// Contender is one way of answering over all rounds.
type Contender struct {
	Name   string            `json:"name"`
	Kind   string            `json:"kind"`
	Rounds []ThroughputRound `json:"rounds"`
}

// ThroughputRound is one contender in one round. CPU is microseconds of the
// whole server process for each request.
type ThroughputRound struct {
	PerSecond float64 `json:"answered_per_second"`
	Latency   Latency `json:"latency"`
	CPU       float64 `json:"server_cpu_us_per_request"`
	Failed    int64   `json:"failed"`
	Cores     Cores   `json:"cores"`
}

// Ratio is one contender's figures divided by another's, round by round.
type Ratio struct {
	Of        string `json:"of"`
	To        string `json:"to"`
	PerSecond Spread `json:"answered_per_second"`
	// P50 and P99 are nil where one of the two has as many requests under way
	// as there are connections, and the other only as many as it runs.
	P50 *Spread `json:"p50,omitempty"`
	P99 *Spread `json:"p99,omitempty"`
	CPU Spread  `json:"server_cpu_per_request"`
}

// kindRuntime is the kind of the contenders without a queue.
const kindRuntime = "runtime"

// NewRatio compares two contenders of the same rounds.
func NewRatio(of, to *Contender) Ratio {
	divide := func(figure func(*ThroughputRound) float64) Spread {
		var ratios []float64
		for i := range min(len(of.Rounds), len(to.Rounds)) {
			if base := figure(&to.Rounds[i]); base > 0 {
				ratios = append(ratios, figure(&of.Rounds[i])/base)
			}
		}
		return NewSpread(ratios)
	}
	ratio := Ratio{
		Of: of.Name, To: to.Name,
		PerSecond: divide(func(r *ThroughputRound) float64 { return r.PerSecond }),
		CPU:       divide(func(r *ThroughputRound) float64 { return r.CPU }),
	}
	if (of.Kind == kindRuntime) == (to.Kind == kindRuntime) {
		p50 := divide(func(r *ThroughputRound) float64 { return r.Latency.P50 })
		p99 := divide(func(r *ThroughputRound) float64 { return r.Latency.P99 })
		ratio.P50, ratio.P99 = &p50, &p99
	}
	return ratio
}
