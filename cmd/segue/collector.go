package main

import "runtime/debug"

// collectorPercent is how much garbage may gather, in percent of what lives,
// before it is collected. Bodies, tensors and models lie outside of Go's heap;
// what lives in it is a few megabytes, so that Go's own 100 has it collected
// some sixty times a second under 25,000 calls over gRPC: a sixth of a call's
// CPU. Predictions over HTTP leave no garbage.
const collectorPercent = 400

// setCollector lets more garbage gather than Go does by itself, unless the
// operator says how much. A limit set with GOMEMLIMIT holds either way.
func setCollector(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPercent)
	}
}
