package gateway

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"time"
)

// maxReloads bounds how often a request looks for its version again because
// the one it found was on its way out. Each time a newer table is there.
const maxReloads = 4

// answerPrediction answers infer and predict. What can be refused without the
// body is refused before it is read, what needs no decoding before decoding.
func (c *call) answerPrediction() {
	s := c.server
	v := c.admitted
	if v == nil {
		v = c.admitPrediction()
	}
	// The queue is looked at again behind the body, which may have taken its
	// time: what is refused then is at least not decoded. Who was let in for
	// so long a wait is not sent away for a longer one; reading has cost more
	// by then.
	if v == nil || !c.wire.receive() || !c.inQueue(v, anyWait) {
		return
	}
	if s.inFlight.Add(1) > c.table.maxInFlight {
		s.inFlight.Add(-1)
		c.refuseInFlight()
		return
	}
	defer s.inFlight.Add(-1)
	if v = c.acquireVersion(c.named, v); v == nil {
		return
	}
	c.predict(v)
}

// admitPrediction returns the version that is to answer, of the model that is
// c.named then. It is nil where the head says that none will, and the answer
// given.
func (c *call) admitPrediction() *versionRoute {
	m := c.findModel()
	if m == nil || !c.withinRates(m) || !c.wire.readable() || !c.readTimeout(m.timeout) || !c.belowInFlight() {
		return nil
	}
	v := c.chooseVersion(m)
	if v == nil || !c.inQueue(v, m.queueTime) {
		return nil
	}
	return v
}

// readTimeout sets the deadline: the model's limit, or sooner where the client
// says so, in a header or by the deadline of its own call. It reports whether the header could be read; otherwise the answer
// is given.
func (c *call) readTimeout(limit time.Duration) bool {
	header := c.wire.field("X-Request-Timeout-Ms")
	if len(header) > 0 {
		asked, err := parseDecimal(header)
		if err != nil || asked == 0 {
			c.fail(http.StatusBadRequest, "X-Request-Timeout-Ms must be a positive number of milliseconds, not "+quoted(header))
			return false
		}
		if asked < int64(limit/time.Millisecond) {
			limit = time.Duration(asked) * time.Millisecond
		}
	}
	c.run.Deadline = c.started.Add(limit)
	if deadline, ok := c.context.Deadline(); ok && deadline.Before(c.run.Deadline) {
		c.run.Deadline = deadline
	}
	return true
}

var errNotDecimal = errors.New("not a decimal number")

// parseDecimal reads digits without an allocation; what is over an int64's
// range counts as its largest.
func parseDecimal(digits []byte) (int64, error) {
	n, over := int64(0), false
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, errNotDecimal
		}
		over = over || n > (math.MaxInt64-9)/10
		n = n*10 + int64(c-'0')
	}
	switch {
	case len(digits) == 0:
		return 0, errNotDecimal
	case over:
		return math.MaxInt64, nil
	}
	return n, nil
}

// chooseVersion finds the version that answers: the one that the path names,
// or that of the split. It is nil where none can, and the answer given.
func (c *call) chooseVersion(m *modelRoute) *versionRoute {
	c.assigned, c.tester = assignment{}, false
	if c.route.version != nil {
		v := c.findVersion(m)
		if v != nil && v.resident == nil {
			c.notReady(m, v)
			return nil
		}
		return v
	}
	if m.split == nil {
		c.notReady(m, nil)
		return nil
	}
	if v := c.testersChoice(m); v != nil {
		return v
	}
	var name string
	var key []byte
	if m.stickyHeader != "" {
		key = c.wire.field(m.stickyHeader)
	}
	switch {
	case len(key) > 0:
		name = m.split.Choose(key)
	case m.stickyRequired:
		c.fail(http.StatusBadRequest, fmt.Sprintf("model %q needs the header %s", m.name, m.stickyHeader))
		return nil
	default:
		name = m.split.ChooseRandom(rand.Float64())
	}
	v := m.versions[name]
	if v == nil || v.resident == nil {
		c.notReady(m, v)
		return nil
	}
	c.assigned = m.assign(name, key)
	return v
}

// testersChoice is the version that a tester asks for, nil where the request
// carries no such wish, or one that cannot be met. It counts for no rollout.
func (c *call) testersChoice(m *modelRoute) *versionRoute {
	if m.testersHeader == "" {
		return nil
	}
	wish := c.wire.field(m.testersHeader)
	if len(wish) == 0 {
		return nil
	}
	v := m.testers[string(wish)]
	if v != nil && v.ask != nil {
		v.ask()
	}
	if v == nil || v.resident == nil {
		return nil
	}
	c.tester = true
	return v
}

// acquireVersion holds the version that was chosen in memory, or that of the
// table now in force where it is a newer one. A resident that is on its way out
// has left the table, so that a newer table tells another.
func (c *call) acquireVersion(m *modelRoute, v *versionRoute) *versionRoute {
	for range maxReloads {
		if now := c.server.router.load(); now != c.table {
			c.table = now
			if m = c.findModel(); m == nil {
				return nil
			}
			if v = c.chooseVersion(m); v == nil {
				return nil
			}
		}
		if v.resident.Acquire() {
			c.model = m
			return v
		}
	}
	c.unavailable(http.StatusServiceUnavailable, "the model is being replaced")
	return nil
}
