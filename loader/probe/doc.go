// Package probe tries an artifact before it may serve. What runs models is
// native code, and a fault in it ends the process, so the first try is made in
// a child process under limits: Child starts it, Main is what it runs, Try is
// what it does with an engine, and Cache remembers verdicts and keeps what was
// refused in quarantine.
//
// The package promises that only a crash, a limit, a model that the engine
// refuses, a signature that differs from the manifest's and golden answers
// beyond tolerance refuse an artifact. Synthetic inputs at the batch sizes to
// come are run, timed and reported, never held against it: many valid models
// fail on zeros. A failure to make the try at all is an error and no verdict.
//
// A child is shut in, as its report says: limits on memory, processor time and
// files, no core dumps, an empty environment, nothing inherited, no new
// privileges, no files but the artifact's and libraries' (Landlock), no
// programs, no sockets but Unix's, nothing of other processes or of the kernel
// (seccomp). What a kernel or a container cannot do is reported as missing, and
// is no reason not to try.
//
// It never fetches or verifies files; loader/artifact did before.
//
//	child := probe.Child{Command: []string{exe, "probe"}, Reads: []string{libraries}, Limits: probe.Limits{Memory: 4 << 30, Wall: time.Minute}}
//	cache := probe.NewCache(probe.CacheOptions{Engine: engine.Version(), Probe: child.Probe, Folder: folder})
//	report, err := cache.Probe(ctx, probe.Request{ModelPath: art.ModelPath, Manifest: art.Manifest, Digest: art.Digest})
package probe
