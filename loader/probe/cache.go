package probe

import (
	"context"
	"slices"
	"sync"
)

// How many verdicts a Cache keeps; the oldest go first. A forgotten one costs
// another try.
const maxVerdicts = 1024

// Cache remembers verdicts by digest, engine version and device, so that an
// artifact that passed is not tried again and one that was refused is not
// opened again: it is quarantined for the life of the process, whatever the
// engine might do on a second try. Limits that were reached are not kept, as
// they tell as much about the machine's day as about the artifact. It is safe
// for concurrent use.
type Cache struct {
	version string
	probe   Func

	mu       sync.Mutex
	verdicts map[verdictKey]Report
	order    []verdictKey
}

type verdictKey struct{ digest, device string }

// NewCache remembers what probe finds with an engine of the given version. A
// new engine needs a new Cache.
func NewCache(engineVersion string, probe Func) *Cache {
	return &Cache{version: engineVersion, probe: probe, verdicts: make(map[verdictKey]Report)}
}

// Probe returns the verdict that is known, or asks for one. A report that a
// child made with another version of the engine (its library was replaced on
// disk) is returned and not kept. Requests without a digest are always tried.
func (c *Cache) Probe(ctx context.Context, req Request) (Report, error) {
	key := verdictKey{req.Digest, req.Device}
	c.mu.Lock()
	report, known := c.verdicts[key]
	c.mu.Unlock()
	if known {
		return report, nil
	}
	report, err := c.probe(ctx, req)
	sameEngine := report.Engine == c.version || report.Verdict == Crashed // a crash names no engine
	if err != nil || req.Digest == "" || !sameEngine || report.Verdict == LimitReached || report.Verdict == Undecided {
		return report, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.verdicts[key]; !known {
		c.order = append(c.order, key)
	}
	c.verdicts[key] = report
	if len(c.order) > maxVerdicts {
		delete(c.verdicts, c.order[0])
		c.order = slices.Delete(c.order, 0, 1)
	}
	return report, nil
}
