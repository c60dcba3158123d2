package probe

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	// How many verdicts a Cache keeps; those asked for longest ago go first. A
	// forgotten one costs another try.
	maxVerdicts = 512
	// How long a refused artifact is in quarantine after its first try, what
	// reached a limit, which tells as much about the machine's day, and the
	// longest: each further refusal doubles the time.
	quarantine      = 10 * time.Minute
	quarantineLimit = time.Minute
	maxQuarantine   = 24 * time.Hour
)

// CacheOptions are what a Cache needs.
type CacheOptions struct {
	// Engine is the engine's version. Verdicts of another count for nothing.
	Engine string
	// Probe makes a try.
	Probe Func
	// Folder keeps the verdicts over a restart; empty keeps them in memory.
	Folder string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log may be nil.
	Log *slog.Logger
}

// Cache remembers verdicts by digest, device and engine version. An artifact
// that passed is not tried again, unless it is to meet larger batches than
// before. One that was refused is in quarantine: it is not tried again before
// its time, whoever asks, except that an operator may ask by a higher
// Request.Attempt. The times double from try to try, up to a day. All of it
// survives a restart, so that one does not open a model that crashes. It is
// safe for concurrent use; of two processes on one folder, the one that wrote
// last is remembered.
type Cache struct {
	options CacheOptions

	mu sync.Mutex
	// verdicts are in the order in which they were asked for last.
	verdicts []verdict
	failing  bool // the last write failed
}

// verdict is what is remembered of one artifact on one device and engine.
type verdict struct {
	Digest  string `json:"digest"`
	Device  string `json:"device"`
	Engine  string `json:"engine"`
	Attempt int    `json:"attempt,omitempty"`
	// MaxBatch is the largest batch that a passed one was tried for.
	MaxBatch int    `json:"max_batch"`
	Report   Report `json:"report"`
}

// NewCache reads the verdicts that are kept. Those that cannot be read are
// forgotten, and the log says so.
func NewCache(options CacheOptions) *Cache {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	c := &Cache{options: options}
	if options.Folder != "" {
		kept, err := readVerdicts(options.Folder)
		if err != nil {
			options.Log.Warn("verdicts of earlier tries cannot be read: every version is tried anew", "error", err)
		}
		c.verdicts = kept
	}
	return c
}

// Probe returns the verdict that is known, or asks for one. A report that a
// child made with another version of the engine (its library was replaced on
// disk) is returned and not kept. Requests without a digest are always tried.
func (c *Cache) Probe(ctx context.Context, req Request) (Report, error) {
	known := c.known(req)
	if known != nil && c.stands(known, req) {
		return known.Report, nil
	}
	report, err := c.options.Probe(ctx, req)
	sameEngine := report.Engine == c.options.Engine || report.Engine == "" && report.Refused() // a crash names no engine
	if err != nil || req.Digest == "" || !sameEngine || report.Verdict == Undecided {
		return report, err
	}
	if report.Refused() {
		report.Tries = 1
		if known != nil && known.Report.Refused() && req.Attempt <= known.Attempt {
			report.Tries = known.Report.Tries + 1
		}
		report.Until = c.options.Now().Add(quarantineOf(report.Verdict, report.Tries)).UTC().Truncate(time.Second)
	}
	c.remember(verdict{
		Digest: req.Digest, Device: req.Device, Engine: c.options.Engine, Attempt: req.Attempt, MaxBatch: max(1, req.MaxBatch), Report: report,
	})
	return report, nil
}

// stands reports that a verdict answers a request.
func (c *Cache) stands(v *verdict, req Request) bool {
	if v.Report.Refused() {
		return req.Attempt <= v.Attempt && c.options.Now().Before(v.Report.Until)
	}
	return v.MaxBatch >= req.MaxBatch
}

// quarantineOf is how long an artifact is not tried after so many refusals.
func quarantineOf(v Verdict, tries int) time.Duration {
	first := quarantine
	if v == LimitReached {
		first = quarantineLimit
	}
	const enough = 16 // doublings, of which no more make a difference
	return min(maxQuarantine, first<<min(tries-1, enough))
}

// known returns a copy of what is remembered, nil where nothing is.
func (c *Cache) known(req Request) *verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.verdicts, func(v verdict) bool {
		return v.Digest == req.Digest && v.Device == req.Device && v.Engine == c.options.Engine
	})
	if at < 0 {
		return nil
	}
	v := c.verdicts[at]
	c.verdicts = append(slices.Delete(c.verdicts, at, at+1), v)
	return &v
}

// remember keeps a verdict in place of the one before, on disk too.
func (c *Cache) remember(v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verdicts = slices.DeleteFunc(c.verdicts, func(old verdict) bool {
		return old.Digest == v.Digest && old.Device == v.Device && old.Engine == v.Engine
	})
	c.verdicts = append(c.verdicts, v)
	c.verdicts = slices.Delete(c.verdicts, 0, max(0, len(c.verdicts)-maxVerdicts))
	if c.options.Folder == "" {
		return
	}
	err := writeVerdicts(c.options.Folder, c.verdicts)
	if err != nil && !c.failing {
		c.options.Log.Warn("verdicts cannot be kept on disk: a restart tries every version anew", "error", err)
	}
	c.failing = err != nil
}
