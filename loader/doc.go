// Package loader brings model versions to life and lays them to rest: it
// fetches, verifies, probes, opens, warms, drains and closes them. It knows
// nothing of documents or traffic. Somebody states the full set of versions
// wanted; the Manager makes it so and says how far each is.
//
// The package promises that
//   - each try of a version moves forward through the states only, Ready is
//     announced after it is true and Draining before it begins;
//   - a version is closed exactly once, after its last user let go, and never
//     while somebody holds it, however long that takes;
//   - versions do not disturb each other: one that fails or hangs delays
//     another at most by a slot of the bounded number of loads;
//   - a version that is wanted without a digest is pinned to the digest with
//     which it first became Ready, for the life of the process, and after it
//     for as long as the cache has that artifact. (One that lies on this
//     machine is in no cache: after a restart what lies there counts, as there
//     is nothing else that could serve.)
//
// Where Options.Memory says how much there is, a version is opened only if what
// the probe measured fits beside what is there; else it fails with the numbers,
// and is tried again when room appears. A version that is wanted on Terms that
// allow it is unloaded after a time without a use, or sooner where another needs
// the room, those used longest ago first; Ask brings it back.
//
// It never decides who answers a request, never unloads a version that is wanted
// on any other terms, and never calls back with a lock held, but for
// Options.Memory.
//
//	manager := loader.New(loader.Options{Stores: stores, Probe: cache.Probe, Open: open, OnChange: wake, Log: log})
//	go func() { done <- manager.Run(ctx) }()
//	manager.SetWanted([]loader.Wanted{{Model: "mozart", Version: "1", URI: "file:models/mozart/1", Base: dir}})
//	…
//	if resident, _ := manager.Lookup(w); resident != nil && resident.Acquire() {
//		defer resident.Release()
//		answer(resident.Instance())
//	}
package loader
