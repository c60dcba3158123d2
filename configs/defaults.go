package configs

import "time"

// Defaults of what documents and settings leave out.
const (
	DefaultDevice       = "cpu"
	DefaultThreads      = 1
	DefaultMaxBatchSize = 32
	DefaultQueue        = 256
	DefaultTimeout      = 30 * time.Second
	DefaultDeleteGrace  = 60 * time.Second
	DefaultMaxBody      = 64 * MiB
	DefaultMaxInFlight  = 1024
	DefaultNonFinite    = NonFiniteError
)

// Values of Document.NonFinite.
const (
	// NonFiniteError answers 500 and names the output and the place.
	NonFiniteError = "error"
	// NonFiniteNull writes null.
	NonFiniteNull = "null"
	// NonFiniteLiteral writes NaN, Infinity and -Infinity, which is not JSON.
	NonFiniteLiteral = "literal"
)

// Or is r with its zero fields taken from other.
func (r Runtime) Or(other Runtime) Runtime {
	if r.Device == "" {
		r.Device = other.Device
	}
	if r.Threads == 0 {
		r.Threads = other.Threads
	}
	if r.MaxBatchSize == 0 {
		r.MaxBatchSize = other.MaxBatchSize
	}
	if r.MaxQueueDelay == 0 {
		r.MaxQueueDelay = other.MaxQueueDelay
	}
	if r.MaxDimension == 0 {
		r.MaxDimension = other.MaxDimension
	}
	return r
}

// RuntimeOf is how a version runs: its own block, over the document's, over
// the process's, over the defaults. MaxDimension stays 0 (no limit) where none
// of them sets it.
func (d *Document) RuntimeOf(version string, process Runtime) Runtime {
	defaults := Runtime{Device: DefaultDevice, Threads: DefaultThreads, MaxBatchSize: DefaultMaxBatchSize}
	return d.Versions[version].Runtime.Or(d.Runtime).Or(process).Or(defaults)
}

// Share is the part of the requests without a version that a version answers,
// 0 to 1. Without weights there is one version only, and its share is 1.
func (t Traffic) Share(version string) float64 {
	if len(t.Weights) == 0 {
		return 1
	}
	sum := 0.0
	for _, w := range t.Weights {
		sum += w
	}
	if sum == 0 {
		return 0
	}
	return t.Weights[version] / sum
}

// VariantName is the name of a version's variant in answers.
func (t Traffic) VariantName(version string) string {
	if name, ok := t.Names[version]; ok {
		return name
	}
	return "v" + version
}

// NonFinitePolicy is NonFinite with its default.
func (d *Document) NonFinitePolicy() string {
	if d.NonFinite == "" {
		return DefaultNonFinite
	}
	return d.NonFinite
}

// WithDefaults fills in the queue, the timeout and, where there is a rate, the
// burst: as many as the rate, at least one. Rate 0 means no limit.
func (l Limits) WithDefaults() Limits {
	if l.Queue == 0 {
		l.Queue = DefaultQueue
	}
	if l.Timeout == 0 {
		l.Timeout = Duration(DefaultTimeout)
	}
	if l.Rate > 0 && l.Burst == 0 {
		l.Burst = max(1, int(min(l.Rate, maxBurst)))
	}
	return l
}

// WithDefaults fills in what the settings leave out.
func (l GatewayLimits) WithDefaults() GatewayLimits {
	if l.MaxBody == 0 {
		l.MaxBody = DefaultMaxBody
	}
	if l.MaxInFlight == 0 {
		l.MaxInFlight = DefaultMaxInFlight
	}
	return l
}

// Grace is how long a model serves on after its document went away; 0 means
// that deletions count at once. S may be nil: no settings.
func (s *Settings) Grace() time.Duration {
	if s == nil || s.DeleteGrace == nil {
		return DefaultDeleteGrace
	}
	return time.Duration(*s.DeleteGrace)
}
