package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/segue-serving/segue/configs"
)

// errLockLost is why the context of a holder ended.
var errLockLost = errors.New("the lock is lost")

// Hold implements configs.Locker by a key under locks/ that a session holds.
// Only who may have the lock makes a session: those that wait read the key.
//
// The session's lock delay is 0: a holder counts the session's time on its own
// clock from before each renewal, Consul from after it, so that the holder
// stops first wherever its process runs; and what it writes is check-and-set.
func (f *Fleet) Hold(ctx context.Context, name string, fn func(ctx context.Context) error) error {
	if err := configs.CheckName(name); err != nil {
		return fmt.Errorf("lock %q: %w", name, err)
	}
	l := &lock{fleet: f, name: name, key: f.prefix + configs.LockKey(name)}
	for failures := 0; ; {
		done, err := l.try(ctx, fn)
		switch {
		case done || ctx.Err() != nil:
			return err
		case err == nil:
			failures = 0
			continue
		case failures == 0:
			f.log.Warn("lock not to be had, trying on", "key", l.key, "err", err)
		}
		limit := f.tempo.outage
		if isForbidden(err) {
			limit = f.tempo.refused
		}
		if !sleep(ctx, limit/4+jittered(f.tempo.backoff, limit, failures)) {
			return nil
		}
		failures++
	}
}

// lock is one process's try to have a lock.
type lock struct {
	fleet     *Fleet
	name, key string
}

// try waits for the lock and runs fn under it. It reports true with the error
// of fn where fn ran to its end; otherwise an error says why the lock was not
// had.
func (l *lock) try(ctx context.Context, fn func(context.Context) error) (done bool, err error) {
	if err := l.awaitFree(ctx); err != nil {
		return false, unlessEnded(ctx, err)
	}
	session, renewed, err := l.take(ctx)
	if err != nil || session == "" {
		return false, unlessEnded(ctx, err)
	}
	defer func() {
		if err := l.fleet.endSession(session); err != nil {
			l.fleet.log.Warn("lock not given back: it is free when its session ends", "key", l.key, "err", err)
		}
	}()
	held, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		cancel(l.keep(held, session, renewed))
	}()
	err = fn(held)
	lost := errors.Is(context.Cause(held), errLockLost)
	cancel(nil)
	<-watched
	if lost && ctx.Err() == nil {
		l.fleet.log.Warn("lock lost", "key", l.key, "err", context.Cause(held))
		return false, nil
	}
	return true, err
}

// unlessEnded is the error, but none after the end of ctx.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// awaitFree returns when nobody holds the key, a little later for each of
// those that wait.
func (l *lock) awaitFree(ctx context.Context) error {
	var index uint64
	for {
		pair, meta, err := l.read(ctx, index)
		if err != nil {
			return err
		}
		if pair == nil || pair.Session == "" {
			sleep(ctx, jittered(l.fleet.tempo.backoff, l.fleet.tempo.backoff, 0))
			return ctx.Err()
		}
		if meta.LastIndex < index || meta.LastIndex == 0 {
			// Consul began anew: so does the query, and never at once.
			index = 0
			if !sleep(ctx, l.fleet.tempo.outage) {
				return ctx.Err()
			}
			continue
		}
		index = meta.LastIndex
	}
}

// read waits until the key is newer than an index, 0 for not at all.
func (l *lock) read(ctx context.Context, index uint64) (*api.KVPair, *api.QueryMeta, error) {
	patience := l.fleet.tempo.read
	if index > 0 {
		// Consul adds up to a sixteenth of the wait.
		patience += l.fleet.tempo.wait * 17 / 16
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	options := query(ctx, consistent)
	options.WaitIndex, options.WaitTime = index, l.fleet.tempo.wait
	pair, meta, err := l.fleet.client.KV().Get(l.key, options)
	if err != nil {
		return nil, nil, explain("read "+l.key, err)
	}
	return pair, meta, vouched(meta)
}

// take makes a session and tries to write the key with it. The session is empty
// where somebody else was faster; renewed is when its time began at the latest.
func (l *lock) take(ctx context.Context) (session string, renewed time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.fleet.tempo.read)
	defer cancel()
	renewed = time.Now()
	session, err = l.fleet.newSession(ctx, "lock "+l.name, l.fleet.tempo.lock)
	if err != nil {
		return "", renewed, err
	}
	held, err := l.fleet.acquire(ctx, "locks", l.key, session, holder())
	if err == nil && held {
		return session, renewed, nil
	}
	// Not even an error says that the key was not written.
	return "", renewed, errors.Join(err, l.fleet.endSession(session))
}

// holder tells people who has a lock.
func holder() []byte {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Appendf(nil, `{"host": %s, "pid": %d}`, quoted(host), os.Getpid())
}

func quoted(s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return text
}

// keep renews the session until ctx ends, which is nil, or the lock is lost.
func (l *lock) keep(ctx context.Context, session string, renewed time.Time) error {
	ttl := l.fleet.tempo.lock
	for {
		// Three renewals may fail before the time is up.
		if !sleep(ctx, ttl/5) {
			return nil
		}
		now := time.Now()
		// No answer that comes after the session's end counts.
		request, cancel := context.WithDeadline(ctx, renewed.Add(ttl*4/5))
		gone, err := l.renew(request, session)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case gone:
			return fmt.Errorf("%w: its session or key is gone", errLockLost)
		case err == nil:
			renewed = now
		case time.Since(renewed) >= ttl*4/5:
			return fmt.Errorf("%w: not renewed for %v: %w", errLockLost, ttl*4/5, err)
		}
	}
}

// renew reports whether the session or its key is gone.
func (l *lock) renew(ctx context.Context, session string) (gone bool, err error) {
	entry, _, err := l.fleet.client.Session().Renew(session, new(api.WriteOptions).WithContext(ctx))
	if err != nil {
		return false, explain("renew session", err)
	}
	if entry == nil {
		return true, nil
	}
	pair, meta, err := l.fleet.client.KV().Get(l.key, query(ctx, consistent))
	if err == nil {
		err = vouched(meta)
	}
	if err != nil {
		return false, explain("read "+l.key, err)
	}
	return pair == nil || pair.Session != session, nil
}
