// Package configstest is for tests of what reads and writes configuration: a
// [configs.Store] in memory, and the promises that every Store keeps.
//
// The Store in memory keeps them as Consul does: [Conformance] is run on both,
// and on folders. It never fails, waits or forgets by itself; a test makes it
// fail, and writes past it as another writer would.
//
//	store := configstest.NewStore()
//	store.Set("models/mozart", document)
//	store.BeforeApply(func() { store.Set("models/mozart", theirs) })
//	err := promote(ctx, store) // has to bear that somebody else was quicker
package configstest
