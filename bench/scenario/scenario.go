// Package scenario reads the files that say what is measured, so that a new
// measurement on the same parts is a new file and no new code.
//
// It promises to refuse what it does not know: an unknown field, a missing
// value, a contender that nobody declared. Every problem of a file is reported
// at once, each with its line and its path. It never measures anything.
//
//	s, err := scenario.Parse(text)
package scenario

import (
	"slices"
	"time"
)

// Scenario is one measurement. Exactly one of its kinds is set.
type Scenario struct {
	Name  string `yaml:"name"`
	Title string `yaml:"title"`
	// Rounds is how often everything is measured, in turn; Round is how long
	// each measurement of a round takes, Warmup how long it is warmed up.
	Rounds int      `yaml:"rounds"`
	Round  Duration `yaml:"round"`
	Warmup Duration `yaml:"warmup"`

	Changes    *Changes    `yaml:"changes"`
	Throughput *Throughput `yaml:"throughput"`
	Offered    *Offered    `yaml:"offered"`
}

// NeedsPeers reports whether other servers must be installed for it.
func (s *Scenario) NeedsPeers() bool {
	var all []Contender
	switch {
	case s.Throughput != nil:
		all = s.Throughput.Contenders
	case s.Offered != nil:
		all = s.Offered.Contenders
	}
	return slices.ContainsFunc(all, func(c Contender) bool { return c.Kind == KindPeer })
}

// Changes is latency under open-loop load while the configuration changes.
type Changes struct {
	Model string `yaml:"model"`
	// Versions are the two that take turns.
	Versions  []string `yaml:"versions"`
	Protocol  string   `yaml:"protocol"`
	Transport string   `yaml:"transport"`
	// Connections bounds the requests under way; CapacityConnections is how
	// many measure the capacity, of which Load is the part that is offered.
	Connections         int     `yaml:"connections"`
	CapacityConnections int     `yaml:"capacity_connections"`
	Load                float64 `yaml:"load"`
	Arrivals            string  `yaml:"arrivals"`
	Phases              []Phase `yaml:"phases"`
}

// What a phase changes.
const (
	ChangeNothing = "nothing" // each version alone for an equal part of the time
	ChangeVersion = "version" // the other version is loaded and takes all, the first goes
	ChangeWeights = "weights" // both stay loaded, the split moves
)

// Phase is one kind of time in a round. The first phase of a scenario changes
// nothing: the others are compared with it.
type Phase struct {
	Name   string `yaml:"name"`
	Change string `yaml:"change"`
	// Every is how far changes are apart, at least: none begins before the
	// last is in force.
	Every Duration `yaml:"every"`
	// AimP99 is what the 99th percentile of the time from a write to the
	// first answer under it should stay below; 0 for no aim.
	AimP99 Duration `yaml:"aim_p99"`
	// Within counts only requests that were due so soon after a write; 0
	// counts all. AimRatio is what their p99 over that of the first phase
	// should at most be; 0 for no aim.
	Within   Duration `yaml:"within"`
	AimRatio float64  `yaml:"aim_ratio"`
}

// Duration is written as Go writes it: 500ms, 10s.
type Duration time.Duration

// UnmarshalText reads a duration and refuses a bare number.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// String writes a duration as it is read.
func (d Duration) String() string { return time.Duration(d).String() }
