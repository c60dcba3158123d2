// Package cache keeps the artifacts of remote stores on this machine's disk. A
// Cache makes a store.Store of a store.Remote: what is fetched once is checked
// on the way, lies complete in a folder named for the digest of its manifest,
// and is found there again without the store, also by a later process.
//
// The package promises that
//   - a path that Fetch returns is a complete artifact, every file of it checked
//     against the manifest and on disk before its folder got its name;
//   - it stays until it is released, and what Keep names stays too, whatever
//     other processes do with the same folder;
//   - no artifact is begun that the limit or the disk has no room for, and none
//     that lies about its sizes takes more than it announced;
//   - what a process leaves behind when it is killed, at any point, is gone on
//     with or removed by the next one.
//
// It never makes hard links, never follows a name out of its folder, never
// judges whether a model is good, and starts nothing that outlives a call.
//
// The folder holds entries (complete artifacts), staging (downloads under way),
// trash (what is being removed), refs (which digest a reference had last) and
// lock. Who uses an entry or a download holds a file lock on its folder, which
// ends with the process; only who holds the lock file moves folders.
//
//	artifacts, err := cache.Open("/var/lib/segue/artifacts", 10<<30, cache.Options{Log: log})
//	if err != nil {
//		return err
//	}
//	stores := store.NewRegistry(map[string]store.Store{"s3": artifacts.Store(bucket)}, metrics)
package cache
