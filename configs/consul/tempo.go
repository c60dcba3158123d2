package consul

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// tempo holds every span of time of the package, so that tests can be quick.
type tempo struct {
	// wait is how long a blocking query waits for a change.
	wait time.Duration
	// read is the longest a read may take.
	read time.Duration
	// pulse is the time between two pings, and the patience with one.
	pulse time.Duration
	// first is how long a source waits for Consul before it publishes the last
	// good copy.
	first time.Duration
	// backoff is the first step, doubled each time up to a cap: outage while
	// Consul is away, refused while it rejects the token.
	backoff, outage, refused time.Duration
	// statusEvery and statusJitter space writes of the status.
	statusEvery, statusJitter time.Duration
	// renew is the time between two renewals of a session.
	renew time.Duration
	// lock is the TTL of a lock's session; Consul takes 10 s at least.
	lock time.Duration
	// registered is the time between two looks at the registration.
	registered time.Duration
}

// defaultTempo is what gateways run with.
//
// The cap while Consul is away is not the usual 15 s: the next valid write has
// to take effect within two seconds of its return, and a try costs a fleet's
// Consul no more than five small requests a second and gateway. A refused token
// is mended by people or by a new token file, which is looked at each second,
// so there the cap is 15 s.
func defaultTempo() tempo {
	return tempo{
		wait:         55 * time.Second,
		read:         15 * time.Second,
		pulse:        time.Second,
		first:        time.Second,
		backoff:      250 * time.Millisecond,
		outage:       time.Second,
		refused:      15 * time.Second,
		statusEvery:  10 * time.Second,
		statusJitter: 2 * time.Second,
		renew:        10 * time.Second,
		lock:         15 * time.Second,
		registered:   15 * time.Second,
	}
}

// jittered is full jitter: anything from 0 up to step·2ⁿ, or up to the limit.
func jittered(step, limit time.Duration, n int) time.Duration {
	ceiling := limit
	if n < 20 && step<<n < limit {
		ceiling = step << n
	}
	return rand.N(ceiling + 1)
}

// sleep reports false where ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// bucket is a token bucket: it bounds how often a fleet's gateways read, even
// where an index that misbehaves ends every blocking query at once.
type bucket struct {
	rate, burst float64

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

// Each change costs two requests, the query that woke and the transaction, so
// these bounds follow 50 changes a second for ever and 200 at once; faster
// ones are read together.
const (
	readRate  = 100
	readBurst = 400
)

func newBucket(rate, burst float64) *bucket {
	return &bucket{rate: rate, burst: burst, tokens: burst, last: time.Now()}
}

// wait takes a token, as soon as there is one. It reports false where ctx
// ended first.
func (b *bucket) wait(ctx context.Context) bool {
	b.mu.Lock()
	now := time.Now()
	b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.rate) - 1
	b.last = now
	owed := -b.tokens
	b.mu.Unlock()
	if owed <= 0 {
		return ctx.Err() == nil
	}
	return sleep(ctx, time.Duration(owed/b.rate*float64(time.Second)))
}
