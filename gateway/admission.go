package gateway

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"github.com/segue-serving/segue/configs"
)

// Admission is what stands between a request's head and the work it asks for.
// Everything here is decided before the body is decoded, and over HTTP before
// it is read: what a refusal costs is what is left for those that are served.

// withinRates takes one prediction from what the key and the model may have in
// a second, in this order, so that who is over the rate of a key takes nothing
// from the model's. Otherwise the answer is given.
func (c *call) withinRates(m *modelRoute) bool {
	if !c.withinKeyRate() {
		return false
	}
	if m.limiter == nil || m.limiter.AllowN(c.started, 1) {
		return true
	}
	c.overRate(shedRate, m.limiter, fmt.Sprintf("model %q", m.name))
	return false
}

// withinKeyRate is the part of withinRates that needs no model. It takes from
// the key once in a call.
func (c *call) withinKeyRate() bool {
	if c.rated || c.key == nil || c.key.limiter == nil {
		return true
	}
	c.rated = true
	if c.key.limiter.AllowN(c.started, 1) {
		return true
	}
	c.overRate(shedKeyRate, c.key.limiter, "this API key")
	return false
}

// overRate answers that a rate is reached, and when there is room again as far
// as nobody else takes it before.
func (c *call) overRate(why shedReason, l *rate.Limiter, whose string) {
	c.server.metrics.refused(why)
	missing := 1 - l.TokensAt(c.started)
	c.retryAfter(time.Duration(min(missing/float64(l.Limit()), 1e9) * float64(time.Second)))
	c.fail(http.StatusTooManyRequests, fmt.Sprintf("%s: the rate limit of %g requests a second is reached", whose, float64(l.Limit())))
}

// retryAfter tells the client after which time another try makes sense, in
// whole seconds, at least one.
func (c *call) retryAfter(wait time.Duration) {
	c.wire.setField("Retry-After", strconv.Itoa(int(max(1, math.Ceil(wait.Seconds())))))
}

// belowInFlight reports whether the gateway may answer one more prediction. It
// takes no place: a place is taken once the body is there, so that who is slow
// to send one keeps nobody out. Otherwise the answer is given.
func (c *call) belowInFlight() bool {
	if c.server.inFlight.Load() < c.table.maxInFlight {
		return true
	}
	c.refuseInFlight()
	return false
}

func (c *call) refuseInFlight() {
	c.server.metrics.refused(shedInFlight)
	c.unavailable(http.StatusServiceUnavailable, "the gateway is answering as many requests as it may")
}

const (
	// usualQueueTime is the longest wait for a run that a request is let in for
	// where the model sets none. What waits when an overload ends keeps those
	// behind it waiting: at half of the capacity twice as long as it waits.
	usualQueueTime = configs.DefaultQueueTime
	// alwaysQueued is how many may wait nevertheless, of a model whose runs
	// take long.
	alwaysQueued = 16
	// anyWait is a longest wait that only the deadline bounds.
	anyWait = -1
)

// inQueue reports whether the version's queue has a place and whether the wait
// in it, as it is estimated now, is one that longest (0 for the usual one) and
// the request's deadline allow. Otherwise the answer is given, which counts as
// a try of the version that was shed.
func (c *call) inQueue(v *versionRoute, longest time.Duration) bool {
	wait := v.runner.Wait()
	if wait == 0 {
		return true // a run would begin at once
	}
	if longest == 0 && wait > usualQueueTime && v.runner.Stats().Queued >= alwaysQueued {
		longest = usualQueueTime
	}
	now := time.Now()
	var why shedReason
	var message string
	switch {
	case longest > 0 && wait > longest:
		why, message = shedQueueTime, fmt.Sprintf("the model is busy: the wait for a run is about %v, over the limit of %v", roughly(wait), longest)
	case c.run.Deadline.Sub(now) < wait:
		why, message = shedDeadline, fmt.Sprintf("the model is busy: the wait for a run is about %v, and the deadline is before", roughly(wait))
	case v.full():
		why, message = shedQueueFull, queueFull
	default:
		return true
	}
	c.counted = v.metrics
	c.answeredBy(v)
	c.server.metrics.refused(why)
	c.retryAfter(wait)
	c.fail(http.StatusServiceUnavailable, message)
	v.metrics.attempted(c.stripe, outcomeShed, false, now.Sub(c.started), now)
	return false
}

const queueFull = "the model's queue is full"

// full reports whether as many requests wait as may.
func (v *versionRoute) full() bool {
	q := v.runner.Stats()
	return q.Queued >= q.QueueLimit
}

// roughly is a duration as exactly as an estimate deserves.
func roughly(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
