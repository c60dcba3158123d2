package configs

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Defaults of what documents and settings leave out.
const (
	DefaultDevice       = "cpu"
	DefaultThreads      = 1
	DefaultInstances    = 1
	DefaultMaxBatchSize = 32
	DefaultQueue        = 256
	DefaultQueueTime    = time.Second
	DefaultTimeout      = 30 * time.Second
	DefaultDeleteGrace  = 60 * time.Second
	DefaultMaxBody      = 64 * MiB
	DefaultMaxInFlight  = 1024
	DefaultNonFinite    = NonFiniteError
	// DefaultFollowInterval is about how often a registry is asked.
	DefaultFollowInterval = 30 * time.Second
)

// Defaults of what a rollout and feedback leave out.
const (
	DefaultAlpha           = 0.01
	DefaultPromoteAlpha    = 0.05
	DefaultOnInconclusive  = InconclusiveHold
	DefaultMaxRatio        = 1.0
	DefaultSlowMaxRatio    = 2.0
	DefaultClassMaxRatio   = 3.0
	DefaultMaxRate         = 0.01
	DefaultTolerance       = 1e-3
	DefaultMinSamples      = 100
	DefaultFeedbackExpires = 24 * time.Hour
)

// Defaults of what a document that compares leaves out.
const (
	DefaultDriftSample       = 50.0
	DefaultDriftSamples      = 1000
	DefaultDriftTime         = time.Hour
	DefaultFalseAlarms       = 1.0
	DefaultDriftEffect       = 0.02
	driftInsufficientDivisor = 10
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
	if r.Instances == 0 {
		r.Instances = other.Instances
	}
	if r.MaxBatchSize == 0 {
		r.MaxBatchSize = other.MaxBatchSize
	}
	if r.MaxQueueDelay == 0 {
		r.MaxQueueDelay = other.MaxQueueDelay
	}
	if r.IdleUnload == 0 {
		r.IdleUnload = other.IdleUnload
	}
	if r.MaxDimension == 0 {
		r.MaxDimension = other.MaxDimension
	}
	if r.MemoryLimit == 0 {
		r.MemoryLimit = other.MemoryLimit
	}
	return r
}

// RuntimeOf is how a version runs: its own block, over the document's, over
// the process's, over the defaults. MaxDimension stays 0 (no limit) where none
// of them sets it.
func (d *Document) RuntimeOf(version string, process Runtime) Runtime {
	defaults := Runtime{Device: DefaultDevice, Threads: DefaultThreads, Instances: DefaultInstances, MaxBatchSize: DefaultMaxBatchSize}
	return d.Versions[version].Runtime.Or(d.Runtime).Or(process).Or(defaults)
}

// LatestVersion is the default version policy: the latest version answers.
const LatestVersion = "latest"

// DefaultVersion is the version that answers where the document gives no
// weights: the one that the policy names, if the document has it, else the
// latest in the order of CompareVersions; empty for a document without versions,
// because it follows a registry and was not resolved.
func (d *Document) DefaultVersion(policy string) string {
	if len(d.Versions) == 0 {
		return ""
	}
	if _, ok := d.Versions[policy]; ok {
		return policy
	}
	return slices.MaxFunc(slices.Collect(maps.Keys(d.Versions)), CompareVersions)
}

// WeightsOr are the document's relative weights, or all of them on the version
// that the policy names. With a rollout they are those before its first step:
// all on the stable version; Steer says which hold now.
func (d *Document) WeightsOr(policy string) map[string]float64 {
	if d.Rollout != nil {
		return d.Rollout.Weights(0)
	}
	if len(d.Traffic.Weights) > 0 {
		return d.Traffic.Weights
	}
	if len(d.Versions) == 0 {
		return nil
	}
	return map[string]float64{d.DefaultVersion(policy): 100}
}

// Share is the part of the requests without a version that a version answers,
// 0 to 1; where the document gives no weights, under the policy LatestVersion.
func (d *Document) Share(version string) float64 {
	weights := d.WeightsOr(LatestVersion)
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	if sum == 0 {
		return 0
	}
	return weights[version] / sum
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
	l.Burst = burstOr(l.Burst, l.Rate)
	return l
}

// WithDefaults fills in the burst where there is a rate.
func (k Key) WithDefaults() Key {
	k.Burst = burstOr(k.Burst, k.Rate)
	return k
}

// burstOr is a burst, or as many as the rate and at least one.
func burstOr(burst int, rate float64) int {
	if rate > 0 && burst == 0 {
		return max(1, int(min(rate, maxBurst)))
	}
	return burst
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

// Weights are the relative weights of a split that gives the canary so many
// percent.
func (r *Rollout) Weights(canary float64) map[string]float64 {
	return map[string]float64{r.Stable: 100 - canary, r.Canary: canary}
}

// WithDefaults is a copy with everything filled in that the rollout leaves out,
// in its guards too: at least one of them is on.
func (r *Rollout) WithDefaults() *Rollout {
	full := *r
	full.Steps = slices.Clone(r.Steps)
	full.Guards = r.Guards.withDefaults()
	full.Alpha = cmp.Or(r.Alpha, DefaultAlpha)
	full.PromoteAlpha = cmp.Or(r.PromoteAlpha, DefaultPromoteAlpha)
	full.OnInconclusive = cmp.Or(r.OnInconclusive, DefaultOnInconclusive)
	return &full
}

func (g Guards) withDefaults() Guards {
	if g == (Guards{}) {
		g.Errors, g.NonFinite = &RatioGuard{}, &RatioGuard{}
	}
	g.Errors = g.Errors.withDefaults(DefaultMaxRatio)
	g.NonFinite = g.NonFinite.withDefaults(DefaultMaxRatio)
	g.Slow = g.Slow.withDefaults(DefaultSlowMaxRatio)
	if g.Classes != nil {
		g.Classes = &ClassGuard{g.Classes.Output, cmp.Or(g.Classes.MaxRatio, DefaultClassMaxRatio)}
	}
	if g.Shadow != nil {
		g.Shadow = &ShadowGuard{g.Shadow.MaxDisagreement, cmp.Or(g.Shadow.Tolerance, DefaultTolerance), cmp.Or(g.Shadow.MinSamples, DefaultMinSamples)}
	}
	if g.Feedback != nil {
		g.Feedback = &FeedbackGuard{g.Feedback.Kind, g.Feedback.Threshold, *g.Feedback.RatioGuard.withDefaults(DefaultMaxRatio)}
	}
	return g
}

func (g *RatioGuard) withDefaults(maxRatio float64) *RatioGuard {
	if g == nil {
		return nil
	}
	tolerated := cmp.Or(g.MaxRatio, maxRatio)
	return &RatioGuard{tolerated, cmp.Or(g.PromoteRatio, 2*tolerated), cmp.Or(g.MaxRate, DefaultMaxRate)}
}

// WithDefaults fills in when feedback expires.
func (f Feedback) WithDefaults() Feedback {
	f.Expires = cmp.Or(f.Expires, Duration(DefaultFeedbackExpires))
	return f
}

// WithDefaults is a copy with everything filled in that the block leaves out,
// but for the features and the unit's header.
func (d *Drift) WithDefaults() *Drift {
	full := *d
	full.Sample = cmp.Or(d.Sample, DefaultDriftSample)
	full.Window.Samples = cmp.Or(d.Window.Samples, DefaultDriftSamples)
	full.Window.Time = cmp.Or(d.Window.Time, Duration(DefaultDriftTime))
	full.FalseAlarmsPerMonth = cmp.Or(d.FalseAlarmsPerMonth, DefaultFalseAlarms)
	if len(full.Compare) == 0 {
		full.Compare = []string{CompareTraining, CompareControl}
	}
	if full.Effect == nil {
		effect := DefaultDriftEffect
		full.Effect = &effect
	}
	return &full
}

// Least is how many samples a window must have to be judged.
func (w DriftWindow) Least() int { return max(minDriftSamples, w.Samples/driftInsufficientDivisor) }

// UnitHeader is the header whose value tells callers apart, empty where there
// is none.
func (d *Document) UnitHeader() string {
	if d.Drift == nil {
		return ""
	}
	return cmp.Or(d.Drift.Unit, d.Traffic.Sticky.Header)
}
