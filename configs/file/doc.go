// Package file keeps configuration in a folder: one document per model,
// <model>.yaml, .yml or .json, and the gateway's settings, _settings.yaml or
// .json. Everything else (overrides, audit, status, the counter of changes)
// lies in the state folder. A Folder is a configs.Source, a configs.Store, a
// configs.Announcer and a configs.Locker at once, for the gateway and for seguectl in another
// process.
//
// It promises that a change in the folder is published within a fraction of a
// second however it was made (in place, by rename, by a swapped link of a
// ConfigMap, with the folder itself replaced); that unchanged bytes publish
// nothing; that an index only grows, over restarts too; and that a file which
// is there and cannot be read is never taken for one that is gone. It never
// writes into the folder of documents but on Apply, and never parses a
// document.
//
//	folder, err := file.Open(file.Options{Dir: "models", StateDir: state, Log: log})
//	err = folder.Run(ctx, func(s configs.Snapshot) { latest.Store(&s) })
package file
