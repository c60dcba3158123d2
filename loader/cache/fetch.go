package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// cached is a remote store behind a cache.
type cached struct {
	cache  *Cache
	remote store.Remote
}

var _ store.Caching = (*cached)(nil)

// Store makes a Store of a remote one. An artifact whose digest is stated is
// found in the cache without asking the store. One without is asked for at
// the store, and where that cannot give it, it is what it was the last time.
func (c *Cache) Store(remote store.Remote) store.Store { return &cached{c, remote} }

func (s *cached) Fetch(ctx context.Context, ref store.Ref, progress store.Progress) (path string, release func(), err error) {
	path, release, _, err = s.FetchCached(ctx, ref, progress)
	return path, release, err
}

func (s *cached) FetchCached(ctx context.Context, ref store.Ref, progress store.Progress) (path string, release func(), cached bool, err error) {
	e, cached, err := s.cache.fetch(ctx, s.remote, ref, progress)
	if err != nil {
		return "", nil, false, within(withoutQuery(ref.URI), err)
	}
	return e.path(), e.release, cached, nil
}

// within says where an error came up, unless it says so already: a store names
// the reference and the file in its own errors.
func within(place string, err error) error {
	if strings.Contains(err.Error(), place) {
		return err
	}
	return fmt.Errorf("%s: %w", place, err)
}

// withoutQuery is a reference as it may be shown: a query may be a secret.
func withoutQuery(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	return uri
}

func (c *Cache) fetch(ctx context.Context, remote store.Remote, ref store.Ref, progress store.Progress) (e *entry, cached bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if ref.Digest != "" {
		if !artifact.ValidDigest(ref.Digest) {
			return nil, false, store.Permanent(fmt.Errorf("digest %q: want sha256: and 64 lower-case hexadecimal digits", ref.Digest))
		}
		if e := c.hold(ctx, ref.Digest); e != nil {
			return e, !c.renew(ctx, remote, ref, e), nil
		}
	}
	e, err = c.download(ctx, remote, ref, progress)
	if err != nil && ref.Digest == "" && ctx.Err() == nil {
		if digest := c.lookUp(lastOf(ref)); digest != "" {
			if e := c.hold(ctx, digest); e != nil {
				c.log.Warn("the store does not give the artifact: it is what it was the last time", "uri", withoutQuery(ref.URI), "digest", digest, "error", err)
				return e, true, nil
			}
		}
	}
	if err != nil {
		return nil, false, err
	}
	n := lastOf(ref)
	n.Digest = e.digest
	c.remember(ctx, n)
	c.mu.Lock()
	c.keepFound()
	c.mu.Unlock()
	return e, false, nil
}

// How often a transfer is tried again without any progress, and how long the
// pauses are. Who fetches tries again later, and shows that it does.
const (
	maxFailures  = 4
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
	// tooOften is how long an artifact whose bytes are wrong is left alone:
	// each try may transfer all of it.
	tooOften = time.Minute
)

// transferError is a failure of the way to the store, which may pass.
type transferError struct{ error }

func (e transferError) Unwrap() error { return e.error }

// download brings an artifact from the store into the cache.
func (c *Cache) download(ctx context.Context, remote store.Remote, ref store.Ref, progress store.Progress) (*entry, error) {
	d := &download{cache: c, remote: remote, ref: ref, progress: progress, digest: ref.Digest, copied: map[string]bool{}}
	failures, best := 0, int64(0)
	for {
		e, err := d.attempt(ctx)
		switch {
		case err == nil:
			return e, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case diskFull(err):
			return nil, fmt.Errorf("disk full: %w", err)
		}
		if d.done > best { // as long as it moves on, it is gone on with
			failures, best = 0, d.done
		}
		failures++
		wait := store.WaitOf(err)
		var transfer transferError
		// A stall took long already: who fetches says so before the next try.
		if !errors.As(err, &transfer) || errors.Is(err, errStalled) || failures > maxFailures || wait > longestPause {
			return nil, err
		}
		c.log.Debug("a transfer is tried again", "uri", withoutQuery(ref.URI), "failures", failures, "error", err)
		select {
		case <-time.After(max(wait, pause(failures, rand.Float64()))):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// pause returns how long to wait after the nth failure, counted from 1: full
// jitter, so that gateways that failed together do not come back together.
// Fraction is uniform in [0,1).
func pause(n int, fraction float64) time.Duration {
	longest := min(longestPause, firstPause<<min(n-1, 10))
	return time.Duration((1 - fraction) * float64(longest))
}
