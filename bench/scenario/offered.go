package scenario

import (
	"fmt"
	"slices"
)

// Offered is latency at rates that are offered, whatever the answers do.
type Offered struct {
	Model Model `yaml:"model"`
	// Contenders are servers.
	Contenders []Contender `yaml:"contenders"`
	// Connections bounds the requests under way; CapacityConnections is how
	// many measure the capacity in a closed loop, in every round.
	Connections         int    `yaml:"connections"`
	CapacityConnections int    `yaml:"capacity_connections"`
	Arrivals            string `yaml:"arrivals"`
	// Beside is load on another model of the same gateway, where a point asks
	// for it.
	Beside *Beside `yaml:"beside"`
	Points []Point `yaml:"points"`
	// Floor names a point that is an overload. As many requests as are refused
	// there go to a bare server that refuses all, while a closed loop measures
	// the capacity once more: what is missing is what refusals cost, whoever
	// refuses.
	Floor string `yaml:"floor"`
	Aims  []Aim  `yaml:"aims"`
}

// Beside is load on a second model.
type Beside struct {
	Model    Model  `yaml:"model"`
	Protocol string `yaml:"protocol"`
	// Part is of its own capacity.
	Part float64 `yaml:"part"`
}

// Point is one rate.
type Point struct {
	Name string `yaml:"name"`
	// Part is of the contender's capacity, Rate is requests a second: one of
	// them is set.
	Part float64 `yaml:"part"`
	Rate float64 `yaml:"rate"`
	// Beside adds the load on the second model.
	Beside bool `yaml:"beside"`
	// Overload says that refusals are wanted; half of the capacity before and
	// after tells how soon all is as it was.
	Overload bool `yaml:"overload"`
}

// Figures of a point that an aim may be about, beside FigureP50 and FigureP99.
const (
	FigureGoodput    = "goodput"
	FigureRefusalP99 = "refusal_p99"
	FigureRecovery   = "recovery"
)

// Capacity stands for the closed loop of the same round where an aim compares
// the goodput of a point with it.
const Capacity = "capacity"

// Aim is what a point must reach: of the first contender, divided by the same
// figure of another point unless To is empty. Absolute latencies are in
// milliseconds, recoveries in seconds.
type Aim struct {
	Figure  string  `yaml:"figure"`
	Of      string  `yaml:"of"`
	To      string  `yaml:"to"`
	AtLeast float64 `yaml:"at_least"`
	AtMost  float64 `yaml:"at_most"`
}

func (c *checker) offered(o *Offered) {
	c.model("offered.model", o.Model)
	c.contenders("offered", o.Contenders)
	for i, one := range o.Contenders {
		c.require(one.Kind != KindRuntime, fmt.Sprintf("offered.contenders[%d].kind", i), "a runtime is offered nothing")
	}
	c.require(o.Connections >= 1, "offered.connections", "%d: want 1 or more", o.Connections)
	c.require(o.CapacityConnections >= 1, "offered.capacity_connections", "%d: want 1 or more", o.CapacityConnections)
	c.oneOf("offered.arrivals", o.Arrivals, "poisson", "even")
	if o.Beside != nil {
		c.model("offered.beside.model", o.Beside.Model)
		c.wire("offered.beside", o.Beside.Protocol, "tcp")
		c.require(o.Beside.Part > 0, "offered.beside.part", "%v: want more than 0", o.Beside.Part)
		for i, one := range o.Contenders {
			c.require(one.Kind == KindGateway, fmt.Sprintf("offered.contenders[%d].kind", i), "a load beside is for gateways")
		}
	}
	c.require(len(o.Points) > 0, "offered.points", "is empty")
	points := map[string]*Point{}
	for i := range o.Points {
		p := &o.Points[i]
		path := fmt.Sprintf("offered.points[%d]", i)
		c.require(p.Name != "" && p.Name != Capacity && points[p.Name] == nil, path+".name", "%q: want one that is not there yet", p.Name)
		c.require((p.Part > 0) != (p.Rate > 0), path, "want a part of the capacity or a rate over 0")
		c.require(!p.Beside || o.Beside != nil, path+".beside", "there is no load beside")
		points[p.Name] = p
	}
	if o.Floor != "" {
		c.require(points[o.Floor] != nil && points[o.Floor].Overload, "offered.floor", "%q is not a point with overload", o.Floor)
		for i, one := range o.Contenders {
			c.require(one.Protocol != "grpc", fmt.Sprintf("offered.contenders[%d].protocol", i), "the bare server of a floor speaks HTTP")
		}
	}
	for i, a := range o.Aims {
		path := fmt.Sprintf("offered.aims[%d]", i)
		c.oneOf(path+".figure", a.Figure, FigureP50, FigureP99, FigureGoodput, FigureRefusalP99, FigureRecovery)
		c.require(points[a.Of] != nil, path+".of", "%q is not a point", a.Of)
		c.require(a.To == "" || points[a.To] != nil || a.To == Capacity && a.Figure == FigureGoodput, path+".to", "%q is not a point", a.To)
		c.require((a.AtLeast > 0) != (a.AtMost > 0), path, "want at_least or at_most over 0")
		overload := slices.Contains([]string{FigureRefusalP99, FigureRecovery}, a.Figure)
		c.require(!overload || points[a.Of] == nil || points[a.Of].Overload, path+".of", "%s is of points with overload", a.Figure)
	}
}
