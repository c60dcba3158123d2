package consul

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"
)

// withdrawTime is the longest that the end of a session takes.
const withdrawTime = 2 * time.Second

// newSession makes a session that ends ttl (at most twice that) after its last
// renewal. What it holds is then deleted and free at once.
func (f *Fleet) newSession(ctx context.Context, name string, ttl time.Duration) (id string, err error) {
	var made struct{ ID string }
	_, err = f.client.Raw().Write("/v1/session/create", map[string]any{
		"Name":     "segue " + name,
		"TTL":      ttl.String(),
		"Behavior": api.SessionBehaviorDelete,
		// Consul's client leaves out a delay of zero, and Consul then takes
		// 15 s, for which a restarted gateway could not have its own name, nor
		// another gateway a lock that was given back.
		"LockDelay": "0s",
		// With the agent's health in it the session would end with a lost
		// packet.
		"NodeChecks": []string{},
	}, &made, new(api.WriteOptions).WithContext(ctx))
	return made.ID, explain("create session", err)
}

// endSession ends a session, and with it what it holds. It works after the
// caller's context has ended.
func (f *Fleet) endSession(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), withdrawTime)
	defer cancel()
	_, err := f.client.Session().Destroy(id, new(api.WriteOptions).WithContext(ctx))
	return explain("destroy session", err)
}

// acquire writes a value under a key if no other session holds it, and reports
// whether this one does. The kind is what onWrite is told.
func (f *Fleet) acquire(ctx context.Context, kind, key, session string, value []byte) (held bool, err error) {
	pair := &api.KVPair{Key: key, Value: value, Session: session}
	held, _, err = f.client.KV().Acquire(pair, new(api.WriteOptions).WithContext(ctx))
	outcome := "ok"
	switch {
	case err != nil:
		outcome = "error"
	case !held:
		outcome = "conflict"
	}
	f.onWrite(kind, outcome)
	return held, explain("write "+key, err)
}
