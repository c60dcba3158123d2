package consul

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/segue-serving/segue/configs"
)

// sessionTTL is how long a status outlives a gateway that died; Consul may
// take up to twice that.
const sessionTTL = 30 * time.Second

// maxSuffix is the last suffix that is tried for a name that others hold.
const maxSuffix = 99

// Announce implements configs.Announcer. The status lies under status/INSTANCE,
// bound to a session, so that Consul deletes it when the gateway dies. A value
// is written at once if the last write was long enough ago, else when it is;
// only the newest is. A value over configs.MaxStatusBytes is refused with a log
// entry, and the one before stays. Nothing is announced before the first value.
//
// Consul's failures are logged and tried again; Announce returns nil when ctx
// ended and the status is withdrawn.
func (f *Fleet) Announce(ctx context.Context, instance string, updates <-chan []byte) error {
	if instance == "" {
		return errors.New("announce: no instance name")
	}
	a := &announcement{fleet: f, instance: instance, suffix: 1}
	defer a.withdraw()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case value, more := <-updates:
			if !more {
				updates = nil
				continue
			}
			a.offer(value)
		case <-timer.C:
		}
		a.step(ctx)
		timer.Reset(time.Until(a.next()))
	}
}

// announcement is one status and the session that holds it.
type announcement struct {
	fleet    *Fleet
	instance string
	suffix   int // 1 is the bare name

	session   string
	value     []byte
	dirty     bool // value is not written
	nextWrite time.Time
	nextRenew time.Time
	retry     time.Time
	failures  int
}

func (a *announcement) offer(value []byte) {
	if len(value) > configs.MaxStatusBytes {
		a.fleet.log.Error("status not published: too large", "instance", a.instance, "bytes", len(value), "limit", configs.MaxStatusBytes)
		return
	}
	if a.value == nil || !bytes.Equal(value, a.value) {
		a.value, a.dirty = bytes.Clone(value), true
	}
}

// next is when there is something to do without a new value.
func (a *announcement) next() time.Time {
	switch {
	case !a.retry.IsZero():
		return a.retry
	case a.value == nil:
		return time.Now().Add(time.Hour)
	case a.session == "":
		return time.Now()
	case a.dirty && a.nextWrite.Before(a.nextRenew):
		return a.nextWrite
	}
	return a.nextRenew
}

// step does what is due.
func (a *announcement) step(ctx context.Context) {
	now := time.Now()
	if a.value == nil || now.Before(a.retry) {
		return
	}
	a.retry = time.Time{}
	ctx, cancel := context.WithTimeout(ctx, a.fleet.tempo.read)
	defer cancel()
	err := a.advance(ctx, now)
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
	case err != nil:
		if a.failures == 0 {
			a.fleet.log.Warn("status cannot be announced, trying on", "instance", a.instance, "err", err)
		}
		a.failures++
		// Never at once: a session that is refused would be asked for for ever.
		a.retry = time.Now().Add(a.fleet.tempo.outage/4 + jittered(a.fleet.tempo.outage, a.fleet.tempo.outage, a.failures))
	case a.failures > 0:
		a.failures = 0
		a.fleet.log.Info("status is announced", "key", a.key())
	}
}

func (a *announcement) advance(ctx context.Context, now time.Time) error {
	if a.session != "" && !now.Before(a.nextRenew) {
		if err := a.renew(ctx); err != nil {
			return err
		}
	}
	if a.session == "" {
		if err := a.open(ctx); err != nil {
			return err
		}
	} else if !a.dirty || now.Before(a.nextWrite) {
		return nil
	}
	return a.write(ctx)
}

// open makes a session. It starts with the bare name again: whoever held that
// may be gone.
func (a *announcement) open(ctx context.Context) error {
	session, err := a.fleet.newSession(ctx, a.instance, sessionTTL)
	if err != nil {
		return err
	}
	a.session, a.suffix, a.dirty = session, 1, true
	a.nextRenew = time.Now().Add(a.fleet.tempo.renew)
	return nil
}

// write puts the value under the first name that nobody else holds.
func (a *announcement) write(ctx context.Context) error {
	first := a.suffix
	for ; a.suffix <= maxSuffix; a.suffix++ {
		held, err := a.acquire(ctx, a.key())
		if err != nil {
			if strings.Contains(err.Error(), "invalid session") {
				// Consul no longer knows it: the next try makes a new one.
				a.session = ""
			}
			return err
		}
		if held {
			if a.suffix > first {
				a.fleet.log.Warn("another gateway has this instance name: announced under another", "instance", a.instance, "key", a.key())
			}
			a.dirty = false
			a.nextWrite = time.Now().Add(a.fleet.tempo.statusEvery + jittered(a.fleet.tempo.statusJitter, a.fleet.tempo.statusJitter, 0))
			return nil
		}
	}
	a.suffix = 1
	return fmt.Errorf("status/%s: %d others have this name", a.instance, maxSuffix)
}

// acquire writes the value under a key and reports whether the session holds
// it.
func (a *announcement) acquire(ctx context.Context, key string) (held bool, err error) {
	return a.fleet.acquire(ctx, "status", key, a.session, a.value)
}

// renew keeps the session alive, notices when it or the key is gone, and goes
// back to the bare name when that is free: its holder was, more often than not,
// this gateway before it was restarted.
func (a *announcement) renew(ctx context.Context) error {
	entry, _, err := a.fleet.client.Session().Renew(a.session, new(api.WriteOptions).WithContext(ctx))
	if err != nil {
		return explain("renew session", err)
	}
	if entry == nil {
		a.session = ""
		return nil
	}
	a.nextRenew = time.Now().Add(a.fleet.tempo.renew)
	pair, _, err := a.fleet.client.KV().Get(a.key(), query(ctx, consistent))
	if err != nil {
		return explain("read "+a.key(), err)
	}
	if pair == nil || pair.Session != a.session {
		a.dirty, a.suffix, a.nextWrite = true, 1, time.Time{}
		return nil
	}
	if a.suffix > 1 {
		return a.reclaim(ctx)
	}
	return nil
}

// reclaim moves the status from its suffix to the bare name, if that is free.
func (a *announcement) reclaim(ctx context.Context) error {
	suffixed := a.key()
	held, err := a.acquire(ctx, a.fleet.prefix+configs.StatusKey(a.instance))
	if err != nil || !held {
		return err
	}
	a.suffix = 1
	_, err = a.fleet.client.KV().Delete(suffixed, new(api.WriteOptions).WithContext(ctx))
	return explain("delete "+suffixed, err)
}

func (a *announcement) key() string {
	name := a.instance
	if a.suffix > 1 {
		name = fmt.Sprintf("%s-%d", a.instance, a.suffix)
	}
	return a.fleet.prefix + configs.StatusKey(name)
}

// withdraw ends the session, and with it the key.
func (a *announcement) withdraw() {
	if a.session == "" {
		return
	}
	if err := a.fleet.endSession(a.session); err != nil {
		a.fleet.log.Warn("status not withdrawn: it goes when its session ends", "key", a.key(), "err", err)
	}
}
