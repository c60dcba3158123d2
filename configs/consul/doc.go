// Package consul takes a fleet's configuration from Consul's key-value store,
// writes overrides and audit there, and makes a gateway visible.
//
// A Fleet is a configs.Source, a configs.Store, a configs.Announcer and a
// configs.Locker over one prefix, segue/prod say. It promises:
//
//   - each snapshot is of one index: all trees are read in one transaction;
//   - a change is published within milliseconds, and within two seconds of
//     Consul's return after an outage of any kind;
//   - a snapshot is authoritative, so that a missing key counts as deleted,
//     only when nothing speaks against it: the answer was consistent,
//     unfiltered, held the sentinel PREFIX/settings, and Consul's history did
//     not go back (a new, empty or restored Consul);
//   - the last good configuration lies on disk and is published where Consul is
//     away at start;
//   - writes are check-and-set, all or none.
//
// It never parses a document, never decides what is served, and never writes
// what it was not told to.
//
//	fleet, err := consul.Open(consul.Options{Spec: "segue/prod", StateDir: dir, Log: log})
//	...
//	err = fleet.Run(ctx, func(s configs.Snapshot) { ... })
//
// The environment of Consul's own tools is respected: CONSUL_HTTP_ADDR,
// CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE (read again when it changes),
// CONSUL_CACERT and the rest.
package consul
