package gateway

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// fallbackReason says why a version did not answer a request that was its.
type fallbackReason uint8

const (
	fallbackBreaker fallbackReason = iota
	fallbackModelError
	fallbackNonFinite
	fallbackReasonCount
)

var fallbackReasonNames = [fallbackReasonCount]string{"breaker_open", "model_error", "nonfinite"}

// fallbackVariant is the variant of a version that answers in another's place.
const fallbackVariant = "fallback"

// predict tries the version, and where it fails the one that stands in for it,
// as long as the request did not name its version. It returns with the answer
// given; who answered is held no longer.
func (c *call) predict(v *versionRoute) {
	instead := c.fallbackOf(v)
	var p pass
	// A version that may be tried again is tried by copies, as long as another
	// one answers.
	ok := instead == nil || v.breaker.closed()
	if ok {
		p, ok = v.breaker.enter()
	}
	if !ok {
		v.metrics.attemptRefused(c.stripe)
		v.resident.Release()
		if instead == nil {
			c.breakerOpen(v)
			return
		}
		if v.breaker.state() == breakerHalfOpen {
			c.probe = v
		}
		v.metrics.fellBack(fallbackBreaker)
		c.predictInstead(instead)
		return
	}
	ended := c.try(v, p)
	c.assigned.record(ended, v.class.classIndex(c.class), c.alone)
	if instead == nil || c.status != http.StatusInternalServerError {
		return
	}
	reason := fallbackModelError
	if ended == outcomeNonFinite {
		reason = fallbackNonFinite
	}
	v.metrics.fellBack(reason)
	c.predictInstead(instead)
}

// fallbackOf is what answers where v cannot, nil where nothing else may: the
// request named its version, or v is what all others fall back to.
func (c *call) fallbackOf(v *versionRoute) *versionRoute {
	f := c.model.fallback
	if c.route.version != nil || f == nil || f.version == v.version {
		return nil
	}
	return f
}

// predictInstead answers with the version that stands in, in the place of what
// was answered before. There is no second fallback.
func (c *call) predictInstead(v *versionRoute) {
	c.status, c.class, c.instead, c.took = http.StatusOK, 0, true, 0
	if v.resident == nil || !v.resident.Acquire() {
		c.unavailable(http.StatusServiceUnavailable, "the model is being replaced")
		return
	}
	p, ok := v.breaker.enter()
	if !ok {
		v.metrics.attemptRefused(c.stripe)
		v.resident.Release()
		c.breakerOpen(v)
		return
	}
	c.try(v, p)
}

// try runs the request on one version, answers, and says exactly once how that
// ended, to metrics and breaker, even where it panics. It lets go of the
// version.
func (c *call) try(v *versionRoute, p pass) (ended outcome) {
	ended = outcomeModelError // what a panic counts as
	defer func() {
		took := c.tookUntilNow()
		now := c.started.Add(took)
		v.metrics.attempted(c.stripe, ended, ended != outcomeModelError && c.status == http.StatusOK, took, now)
		told := ended
		if c.hurried {
			told = outcomeShed // it says nothing about the version
		}
		v.breaker.leave(p, c.stripe, told, now)
		v.resident.Release()
	}()
	c.counted = v.metrics
	c.answeredBy(v)
	return c.attempt(v)
}

// breakerOpen answers that the version is not tried for now.
func (c *call) breakerOpen(v *versionRoute) {
	c.counted = v.metrics
	c.wire.setField("Retry-After", strconv.Itoa(int(breakerOpenFor/time.Second)))
	c.fail(http.StatusServiceUnavailable, fmt.Sprintf("version %q of model %q failed too often and is not tried for now", v.version, v.model))
}
