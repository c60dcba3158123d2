package report

import "fmt"

// Offered is latency at rates that are offered.
type Offered struct {
	Model               string   `json:"model"`
	Version             string   `json:"version"`
	Connections         int      `json:"connections"`
	CapacityConnections int      `json:"capacity_connections"`
	Arrivals            string   `json:"arrivals"`
	Beside              string   `json:"beside,omitempty"`
	BesidePart          float64  `json:"beside_part,omitempty"`
	Series              []Series `json:"series"`
}

// Series is one contender at every rate. Capacity is answers a second in a
// closed loop, of every round.
type Series struct {
	Name         string    `json:"name"`
	Kind         string    `json:"kind"`
	RequestBytes int       `json:"request_bytes"`
	Capacity     []float64 `json:"capacity_per_second"`
	Points       []Point   `json:"points"`
}

// Point is one rate over all rounds: a part of the capacity, or a rate.
type Point struct {
	Name     string         `json:"name"`
	Part     float64        `json:"part,omitempty"`
	Rate     float64        `json:"rate,omitempty"`
	Beside   bool           `json:"beside,omitempty"`
	Overload bool           `json:"overload,omitempty"`
	Rounds   []OfferedRound `json:"rounds"`
}

// OfferedRound is one point of one round. Latency is that of good answers.
type OfferedRound struct {
	Offered          float64 `json:"offered_per_second"`
	PerSecond        float64 `json:"good_per_second"`
	Latency          Latency `json:"latency"`
	LatenessP99      float64 `json:"generator_lateness_p99_ms"`
	RefusedPerSecond float64 `json:"refused_per_second"`
	RefusalP50       float64 `json:"refusal_p50_ms"`
	RefusalP99       float64 `json:"refusal_p99_ms"`
	// Recovery is how many seconds after an overload not all was as before.
	Recovery        float64 `json:"recovery_s"`
	BesidePerSecond float64 `json:"beside_per_second,omitempty"`
	BesideP99       float64 `json:"beside_p99_ms,omitempty"`
	// FloorPerSecond is what a closed loop gets while a bare server beside the
	// contender refuses as many requests as were refused here.
	FloorPerSecond float64 `json:"floor_per_second,omitempty"`
	Failed         int64   `json:"failed"`
	Cores          Cores   `json:"cores"`
}

// figureOf reads a figure that an aim names.
func figureOf(name string) func(*OfferedRound) float64 {
	switch name {
	case "p50":
		return func(r *OfferedRound) float64 { return r.Latency.P50 }
	case "p99":
		return func(r *OfferedRound) float64 { return r.Latency.P99 }
	case "goodput":
		return func(r *OfferedRound) float64 { return r.PerSecond }
	case "refusal_p99":
		return func(r *OfferedRound) float64 { return r.RefusalP99 }
	case "recovery":
		return func(r *OfferedRound) float64 { return r.Recovery }
	}
	panic("report: no figure is called " + name)
}

// Aim reads an aim of the first contender: a figure of a point, divided by that
// of another or, where that is "capacity", by the round's capacity.
func (o *Offered) Aim(figure, of, to string, atLeast, atMost float64) Aim {
	s := &o.Series[0]
	read := figureOf(figure)
	var values []float64
	for i, r := range s.point(of).Rounds {
		if figure == "refusal_p99" && r.RefusedPerSecond == 0 {
			continue // nothing was refused: there is nothing to measure
		}
		value := read(&r)
		switch {
		case to == "capacity":
			value /= s.Capacity[i]
		case to != "":
			value /= read(&s.point(to).Rounds[i])
		}
		values = append(values, value)
	}
	a := Aim{What: fmt.Sprintf("%s on %s: %s of %s", s.Name, o.Model, figure, of), AtLeast: atLeast, AtMost: atMost, Reached: NewSpread(values), Measured: len(values)}
	switch {
	case to != "":
		a.What, a.Unit = a.What+" / "+to, "×"
	case figure == "recovery":
		a.Unit = "s"
	case figure == "goodput":
		a.Unit = "a second"
	default:
		a.Unit = "ms"
	}
	return a
}

func (s *Series) point(name string) *Point {
	for i := range s.Points {
		if s.Points[i].Name == name {
			return &s.Points[i]
		}
	}
	panic("report: no point is called " + name)
}

// floor is what a bare server that refuses as many leaves of the capacity, and
// the good answers in parts of that; nil where it was not measured.
func (s *Series) floor(pt *Point) (left, reached *Spread) {
	var parts, ratios []float64
	for i, r := range pt.Rounds {
		if r.FloorPerSecond > 0 {
			parts = append(parts, r.FloorPerSecond/s.Capacity[i])
			ratios = append(ratios, r.PerSecond/r.FloorPerSecond)
		}
	}
	if parts == nil {
		return nil, nil
	}
	l, r := NewSpread(parts), NewSpread(ratios)
	return &l, &r
}

func (o *Offered) overloaded() bool {
	for _, p := range o.Series[0].Points {
		if p.Overload {
			return true
		}
	}
	return false
}
